//! The layout of the bundled model: any two towers, the text's features being the
//! shared space.

use serde::Deserialize;
use serde_json::Value;
use tch::{Device, Kind};

use super::Layout;
use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::{Half, Model, Scale};
use crate::sources::{CONFIG, ModelFiles, PREPROCESSOR, TOKENIZER, TRANSFORMERS_WEIGHTS};
use crate::tokens::Tokens;
use crate::towers::{self, Branches, BranchesConfig, Projection};

#[derive(Debug)]
pub(super) struct ClipDb {
    files: ModelFiles,
    config: Config,
}

#[derive(Debug, Deserialize)]
struct Config {
    model_type: String,
    license: Option<String>,
    logit_scale: f64,
    embedding_dim: i64,
    text_config: Tower,
    vision_config: Tower,
    image_projection: BranchesConfig,
}

#[derive(Debug, Clone, Deserialize)]
struct Tower {
    model_type: String,
    #[serde(flatten)]
    config: Value,
}

impl ClipDb {
    pub fn open(files: &ModelFiles) -> Result<Self, EmbedError> {
        Ok(Self {
            config: files.json(CONFIG)?,
            files: files.clone(),
        })
    }
}

impl Layout for ClipDb {
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
        let config = &self.config;
        let dim = config.embedding_dim;
        let Tower {
            model_type,
            config: text,
        } = config.text_config.clone();
        let text = towers::text_tower(&model_type, text, &weights.at("text_model"))?;
        let Tower {
            model_type,
            config: vision,
        } = config.vision_config.clone();
        let image = towers::image_tower(&model_type, vision, &weights.at("vision_model"))?;
        if text.width() != dim {
            return Err(EmbedError::file(
                CONFIG,
                format!(
                    "the text tower is {} wide, and embedding_dim is {dim}",
                    text.width()
                ),
            ));
        }
        let branches = Branches::new(
            &weights.at("image_projection"),
            &config.image_projection,
            image.width(),
            dim,
        )?;
        Ok(Model {
            model_type: config.model_type.clone(),
            license: config.license.clone(),
            dim,
            scale: Scale {
                factor: config.logit_scale,
                bias: None,
                assumed: false,
            },
            parameters: weights.parameters(),
            fingerprint: weights.fingerprint(),
            text: Half {
                tower: text,
                projection: Projection::Identity,
            },
            image: Some(Half {
                tower: image,
                projection: Projection::Branches(branches),
            }),
            device,
            kind,
        })
    }
}
