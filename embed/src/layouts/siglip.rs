//! `transformers`' `SiglipModel`: SigLIP, and SigLIP 2 at a fixed size of picture. (What
//! `transformers` calls `siglip2` sees pictures of any size and is not read.)

use serde::Deserialize;
use serde_json::Value;
use tch::{Device, Kind};

use super::{Layout, or_empty};
use crate::EmbedError;
use crate::image::Preprocessor;
use crate::model::{Half, Model, Scale};
use crate::sources::{
    CONFIG, ModelFiles, PREPROCESSOR, TOKENIZER, TOKENIZER_CONFIG, TRANSFORMERS_WEIGHTS,
};
use crate::tokens::Tokens;
use crate::towers::{
    ImageTower, Projection, SiglipText, SiglipTextConfig, SiglipVision, SiglipVisionConfig,
    TextTower, parse,
};

#[derive(Debug)]
pub(super) struct Siglip {
    files: ModelFiles,
    license: Option<String>,
    text: SiglipTextConfig,
    vision: SiglipVisionConfig,
}

impl Siglip {
    pub fn open(files: &ModelFiles) -> Result<Self, EmbedError> {
        #[derive(Deserialize)]
        struct Config {
            license: Option<String>,
            #[serde(default)]
            text_config: Value,
            #[serde(default)]
            vision_config: Value,
        }
        let config: Config = files.json(CONFIG)?;
        Ok(Self {
            files: files.clone(),
            license: config.license,
            text: parse(CONFIG, or_empty(config.text_config))?,
            vision: parse(CONFIG, or_empty(config.vision_config))?,
        })
    }
}

impl Layout for Siglip {
    fn tokens(&self) -> Result<Tokens, EmbedError> {
        tokens(&self.files, self.text.max_position_embeddings)
    }

    fn preprocessor(&self) -> Result<Option<Preprocessor>, EmbedError> {
        super::preprocessor(&self.files).map(Some)
    }

    fn load(&self, device: Device, kind: Kind) -> Result<Model, EmbedError> {
        let preparation = [TOKENIZER, TOKENIZER_CONFIG, PREPROCESSOR];
        let weights = super::weights(
            &self.files,
            &TRANSFORMERS_WEIGHTS,
            &preparation,
            device,
            kind,
        )?;
        let text = SiglipText::new(&weights.at("text_model"), &self.text)?;
        let image = SiglipVision::new(&weights.at("vision_model"), self.vision.clone())?;
        let dim = text.width();
        if image.width() != dim {
            return Err(EmbedError::file(
                self.files.display(CONFIG),
                format!(
                    "its texts have {dim} dimensions and its pictures {}",
                    image.width()
                ),
            ));
        }
        let root = weights.at("");
        let scale = Scale {
            factor: root.number("logit_scale")?.exp(),
            bias: Some(root.number("logit_bias")?),
            assumed: false,
        };
        Ok(Model {
            model_type: "siglip".to_owned(),
            license: self.license.clone(),
            dim,
            scale,
            parameters: weights.parameters(),
            fingerprint: weights.fingerprint(),
            text: Half {
                tower: Box::new(text),
                projection: Projection::Identity,
            },
            image: Some(Half {
                tower: Box::new(image),
                projection: Projection::Identity,
            }),
            device,
            kind,
        })
    }
}

/// Texts of `length` tokens.
pub(super) fn tokens(files: &ModelFiles, length: usize) -> Result<Tokens, EmbedError> {
    let mut tokens = Tokens::open(files)?;
    // Both were trained on small letters; SigLIP 2's tokenizer.json leaves that out.
    tokens.lowercase();
    tokens.pad_to(length, files)?;
    Ok(tokens)
}
