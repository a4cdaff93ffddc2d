//! sentence-transformers' folders (Reimers and Gurevych 2019) with a BERT, RoBERTa or XLM-RoBERTa.
//! These models are text-only.

use serde::Deserialize;
use serde_json::Value;

use super::folder::{Architecture, Folder, Towers};
use super::sentence_modules::{SCALE, SentenceModules};
use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::Branch;
use crate::sources::{CONFIG, ModelFiles, TOKENIZER};
use crate::tokens::TextTokenizer;
use crate::towers::{Bert, BertConfig, ROBERTA_PADDING, TextTower, parse, roberta};
use crate::weights::Weights;

#[derive(Debug)]
pub(super) struct Sentence {
    config: Config,
    modules: SentenceModules,
}

#[derive(Debug, Deserialize)]
struct Config {
    model_type: String,
    license: Option<String>,
    pad_token_id: Option<i64>,
    #[serde(flatten)]
    bert: Value,
}

impl Sentence {
    /// `name` is the model's name, which its published prompts are looked up by.
    pub fn open(files: &ModelFiles, name: &str) -> Result<Folder<Self>, EmbedError> {
        let modules = SentenceModules::open(files, name)?;
        let config = files.json(CONFIG)?;
        Ok(Folder::new(files, Self { config, modules }))
    }

    fn tower(&self, weights: &Weights) -> Result<Bert, EmbedError> {
        let config = BertConfig {
            pooling: self.modules.pooling,
            max_length: self.modules.max_length,
            ..parse(CONFIG, self.config.bert.clone())?
        };
        match self.config.model_type.as_str() {
            "bert" => Bert::new(&weights.at(""), &config),
            _ => {
                let padding = self.config.pad_token_id.unwrap_or(ROBERTA_PADDING);
                roberta(&weights.at(""), config, padding)
            }
        }
    }
}

impl Architecture for Sentence {
    fn preparation(&self, _files: &ModelFiles) -> &'static [&'static str] {
        &[TOKENIZER]
    }

    fn tokenizer(&self, _files: &ModelFiles) -> Result<TextTokenizer, EmbedError> {
        self.modules.tokenizer()
    }

    fn preprocessor(&self, _files: &ModelFiles) -> Result<Option<Preprocessor>, EmbedError> {
        Ok(None)
    }

    fn towers(&self, _files: &ModelFiles, weights: &Weights) -> Result<Towers, EmbedError> {
        weights.add_to_fingerprint(self.modules.fingerprint_part().as_bytes());
        let tower = self.tower(weights)?;
        let head = self
            .modules
            .head(tower.width(), weights.device(), weights.kind())?;
        weights.add_to_fingerprint(head.fingerprint.as_bytes());
        weights.add_parameters(head.parameters);
        Ok(Towers {
            model_type: self.config.model_type.clone(),
            license: self.config.license.clone(),
            dim: head.dim,
            scale: SCALE,
            text: Branch::text(tower, head.projection),
            image: None,
        })
    }
}
