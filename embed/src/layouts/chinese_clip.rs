//! `transformers`' `ChineseCLIPModel` (Yang et al. 2022): a Chinese BERT read at its
//! first token, and CLIP's image tower.

use serde::Deserialize;
use serde_json::Value;
use tch::{Device, Kind};

use super::{Layout, or_empty, projection, softmax_scale};
use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::{Half, Model};
use crate::sources::{CONFIG, ModelFiles, PREPROCESSOR, TOKENIZER, TRANSFORMERS_WEIGHTS};
use crate::tokens::Tokens;
use crate::towers::{Bert, BertConfig, ClipVision, ImageTower, Naming, Pooling, TextTower, parse};

/// Tokens of a text in training, and where its authors' code cuts.
pub(super) const CONTEXT: i64 = 52;

#[derive(Debug)]
pub(super) struct ChineseClip {
    files: ModelFiles,
    config: Config,
}

#[derive(Debug, Deserialize)]
struct Config {
    license: Option<String>,
    projection_dim: Option<i64>,
    text_config: BertConfig,
    #[serde(default)]
    vision_config: Value,
}

impl ChineseClip {
    pub fn open(files: &ModelFiles) -> Result<Self, EmbedError> {
        Ok(Self {
            config: files.json(CONFIG)?,
            files: files.clone(),
        })
    }
}

impl Layout for ChineseClip {
    fn tokens(&self) -> Result<Tokens, EmbedError> {
        Tokens::open(&self.files)
    }

    fn preprocessor(&self) -> Result<Option<Preprocessor>, EmbedError> {
        super::preprocessor(&self.files).map(Some)
    }

    fn load(&self, device: Device, kind: Kind) -> Result<Model, EmbedError> {
        let preparation = [TOKENIZER, PREPROCESSOR];
        let weights = super::weights(
            &self.files,
            &TRANSFORMERS_WEIGHTS,
            &preparation,
            device,
            kind,
        )?;
        let dim = self.config.projection_dim.unwrap_or(512);
        let text = BertConfig {
            pooling: Pooling::Cls,
            max_length: Some(CONTEXT),
            ..self.config.text_config.clone()
        };
        let text = Bert::new(&weights.at("text_model"), &text)?;
        let vision = parse(CONFIG, or_empty(self.config.vision_config.clone()))?;
        let image = ClipVision::new(&weights.at("vision_model"), vision, Naming::Transformers)?;
        let scale = softmax_scale(&weights.at(""))?;
        Ok(Model {
            text: Half {
                projection: projection(&weights, "text_projection", text.width(), dim)?,
                tower: Box::new(text),
            },
            image: Some(Half {
                projection: projection(&weights, "visual_projection", image.width(), dim)?,
                tower: Box::new(image),
            }),
            model_type: "chinese_clip".to_owned(),
            license: self.config.license.clone(),
            dim,
            scale,
            parameters: weights.parameters(),
            fingerprint: weights.fingerprint(),
            device,
            kind,
        })
    }
}
