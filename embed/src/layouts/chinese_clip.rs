//! `transformers`' `ChineseCLIPModel` (Yang et al. 2022): a Chinese BERT, whose features are those
//! of its first token, and CLIP's image tower.

use serde::Deserialize;

use super::clip::SharedSpace;
use super::folder::{Architecture, Towers};
use crate::EmbedError;
use crate::sources::ModelFiles;
use crate::towers::{Bert, BertConfig, ClipVision, ClipVisionConfig, Naming, Pooling};
use crate::weights::Weights;

/// The length that it was trained with, and that the authors' code truncates texts to.
pub(super) const CONTEXT: i64 = 52;

#[derive(Debug, Deserialize)]
pub(super) struct ChineseClip {
    license: Option<String>,
    projection_dim: Option<i64>,
    text_config: BertConfig,
    vision_config: Option<ClipVisionConfig>,
}

impl Architecture for ChineseClip {
    fn towers(&self, _files: &ModelFiles, weights: &Weights) -> Result<Towers, EmbedError> {
        let text = BertConfig {
            pooling: Pooling::Cls,
            max_length: Some(CONTEXT),
            ..self.text_config.clone()
        };
        let text = Bert::new(&weights.at("text_model"), &text)?;
        let image = ClipVision::new(
            &weights.at("vision_model"),
            self.vision_config.clone().unwrap_or_default(),
            Naming::Transformers,
        )?;
        let shared = SharedSpace {
            model_type: "chinese_clip",
            license: self.license.clone(),
            projection_dim: self.projection_dim,
        };
        shared.towers(weights, text, image)
    }
}
