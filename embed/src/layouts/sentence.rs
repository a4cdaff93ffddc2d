//! sentence-transformers' folders (Reimers and Gurevych 2019) with a BERT, RoBERTa or
//! XLM-RoBERTa in them. Texts alone.

use serde::Deserialize;
use serde_json::Value;
use tch::{Device, Kind};

use super::Layout;
use super::sentence_modules::{SCALE, SentenceModules};
use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::{Half, Model};
use crate::sources::{CONFIG, ModelFiles, TOKENIZER, TRANSFORMERS_WEIGHTS};
use crate::tokens::Tokens;
use crate::towers::{Bert, BertConfig, ROBERTA_PADDING, TextTower, parse, roberta};
use crate::weights::Weights;

#[derive(Debug)]
pub(super) struct Sentence {
    files: ModelFiles,
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
    /// `name` is the model's, by which its authors' prompts are known.
    pub fn open(files: &ModelFiles, name: &str) -> Result<Self, EmbedError> {
        Ok(Self {
            modules: SentenceModules::open(files, name)?,
            config: files.json(CONFIG)?,
            files: files.clone(),
        })
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

impl Layout for Sentence {
    fn tokens(&self) -> Result<Tokens, EmbedError> {
        self.modules.tokens()
    }

    fn preprocessor(&self) -> Result<Option<Preprocessor>, EmbedError> {
        Ok(None)
    }

    fn load(&self, device: Device, kind: Kind) -> Result<Model, EmbedError> {
        let weights = super::weights(
            &self.files,
            &TRANSFORMERS_WEIGHTS,
            &[TOKENIZER],
            device,
            kind,
        )?;
        weights.count_in(self.modules.described().as_bytes());
        let tower = self.tower(&weights)?;
        let head = self.modules.head(tower.width(), device, kind)?;
        weights.count_in(head.fingerprint.as_bytes());
        Ok(Model {
            model_type: self.config.model_type.clone(),
            license: self.config.license.clone(),
            dim: head.dim,
            scale: SCALE,
            parameters: weights.parameters() + head.parameters,
            fingerprint: weights.fingerprint(),
            text: Half {
                tower: Box::new(tower),
                projection: head.projection,
            },
            image: None,
            device,
            kind,
        })
    }
}
