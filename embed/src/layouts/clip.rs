//! `transformers`' `CLIPModel`.

use serde::Deserialize;
use serde_json::Value;
use tch::{Device, Kind};

use super::{ImageAlone, Layout, or_empty, projection, softmax_scale};
use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::{Half, Model};
use crate::sources::{CONFIG, ModelFiles, PREPROCESSOR, TOKENIZER, TRANSFORMERS_WEIGHTS};
use crate::tokens::Tokens;
use crate::towers::{ClipText, ClipVision, ImageTower, Naming, TextTower, parse};
use crate::weights::Weights;

#[derive(Debug)]
pub(super) struct Clip {
    files: ModelFiles,
    config: Config,
}

#[derive(Debug, Deserialize)]
struct Config {
    license: Option<String>,
    projection_dim: Option<i64>,
    #[serde(default)]
    text_config: Value,
    #[serde(default)]
    vision_config: Value,
    /// Where early CLIP files say what holds, whatever the two above say.
    text_config_dict: Option<Value>,
    vision_config_dict: Option<Value>,
}

impl Clip {
    pub fn open(files: &ModelFiles) -> Result<Self, EmbedError> {
        Ok(Self {
            config: files.json(CONFIG)?,
            files: files.clone(),
        })
    }

    fn vision(&self, weights: &Weights) -> Result<ClipVision, EmbedError> {
        let config = part(&self.config.vision_config_dict, &self.config.vision_config);
        let vision = parse(CONFIG, config)?;
        ClipVision::new(&weights.at("vision_model"), vision, Naming::Transformers)
    }

    fn dim(&self) -> i64 {
        self.config.projection_dim.unwrap_or(512)
    }
}

fn part(one: &Option<Value>, other: &Value) -> Value {
    or_empty(one.clone().unwrap_or_else(|| other.clone()))
}

impl Layout for Clip {
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
        let config = part(&self.config.text_config_dict, &self.config.text_config);
        let names = Naming::Transformers;
        let text = ClipText::new(&weights.at("text_model"), parse(CONFIG, config)?, names)?;
        let image = self.vision(&weights)?;
        let scale = softmax_scale(&weights.at(""))?;
        let dim = self.dim();
        Ok(Model {
            text: Half {
                projection: projection(&weights, "text_projection", text.width(), dim)?,
                tower: Box::new(text),
            },
            image: Some(Half {
                projection: projection(&weights, "visual_projection", image.width(), dim)?,
                tower: Box::new(image),
            }),
            model_type: "clip".to_owned(),
            license: self.config.license.clone(),
            dim,
            scale,
            parameters: weights.parameters(),
            fingerprint: weights.fingerprint(),
            device,
            kind,
        })
    }

    fn load_image(&self, device: Device, kind: Kind) -> Result<ImageAlone, EmbedError> {
        let weights = super::weights(
            &self.files,
            &TRANSFORMERS_WEIGHTS,
            &[PREPROCESSOR],
            device,
            kind,
        )?;
        let image = self.vision(&weights)?;
        let dim = self.dim();
        Ok(ImageAlone {
            half: Half {
                projection: projection(&weights, "visual_projection", image.width(), dim)?,
                tower: Box::new(image),
            },
            dim,
            scale: softmax_scale(&weights.at(""))?,
            parameters: weights.parameters(),
            fingerprint: weights.fingerprint(),
        })
    }
}
