//! The layout of the bundled models: any two towers. The features of the text tower are the shared
//! space.

use serde::Deserialize;
use serde_json::Value;

use super::folder::{Architecture, Towers};
use crate::EmbedError;
use crate::model::{Branch, Scale};
use crate::sources::{CONFIG, ModelFiles, PREPROCESSOR, SECOND_TOKENIZER, TOKENIZER};
use crate::tokens::TextTokenizer;
use crate::towers::{
    MULTILINGUAL_TEXT, ParallelMlps, ParallelMlpsConfig, Projection, image_tower, text_tower,
};
use crate::weights::Weights;

#[derive(Debug, Deserialize)]
pub(super) struct ClipDb {
    model_type: String,
    license: Option<String>,
    logit_scale: f64,
    embedding_dim: i64,
    text_config: TowerConfig,
    vision_config: TowerConfig,
    image_projection: ParallelMlpsConfig,
}

#[derive(Debug, Deserialize)]
struct TowerConfig {
    model_type: String,
    #[serde(flatten)]
    config: Value,
}

impl ClipDb {
    fn has_second_tokenizer(&self) -> bool {
        self.text_config.model_type == MULTILINGUAL_TEXT
    }
}

impl Architecture for ClipDb {
    fn preparation(&self, _files: &ModelFiles) -> &'static [&'static str] {
        if self.has_second_tokenizer() {
            &[TOKENIZER, SECOND_TOKENIZER, PREPROCESSOR]
        } else {
            &[TOKENIZER, PREPROCESSOR]
        }
    }

    fn tokenizer(&self, files: &ModelFiles) -> Result<TextTokenizer, EmbedError> {
        let mut tokenizer = TextTokenizer::open(files)?;
        if self.has_second_tokenizer() {
            tokenizer.add_second(files)?;
        }
        Ok(tokenizer)
    }

    fn towers(&self, _files: &ModelFiles, weights: &Weights) -> Result<Towers, EmbedError> {
        let dim = self.embedding_dim;
        let TowerConfig { model_type, config } = &self.text_config;
        let text = text_tower(model_type, config.clone(), &weights.at("text_model"))?;
        let TowerConfig { model_type, config } = &self.vision_config;
        let image = image_tower(model_type, config.clone(), &weights.at("vision_model"))?;
        if text.width() != dim {
            return Err(EmbedError::file(
                CONFIG,
                format!(
                    "the text tower has {} features, and embedding_dim is {dim}",
                    text.width()
                ),
            ));
        }
        let projection = ParallelMlps::new(
            &weights.at("image_projection"),
            &self.image_projection,
            image.width(),
            dim,
        )?;
        Ok(Towers {
            model_type: self.model_type.clone(),
            license: self.license.clone(),
            dim,
            scale: Scale::learned(self.logit_scale),
            text: Branch {
                tower: text,
                projection: Projection::Identity,
            },
            image: Some(Branch {
                tower: image,
                projection: Projection::ParallelMlps(projection),
            }),
        })
    }
}
