//! `transformers`' `SiglipModel`: SigLIP, and SigLIP 2 at a fixed image size. (`transformers`'
//! `siglip2` class reads images of any size and is not supported.)

use serde::Deserialize;

use super::folder::{Architecture, Towers, different_dims};
use crate::EmbedError;
use crate::model::{Branch, Scale};
use crate::sources::{CONFIG, ModelFiles, PREPROCESSOR, TOKENIZER, TOKENIZER_CONFIG};
use crate::tokens::TextTokenizer;
use crate::towers::{
    ImageTower, Projection, SiglipText, SiglipTextConfig, SiglipVision, SiglipVisionConfig,
    TextTower,
};
use crate::weights::Weights;

#[derive(Debug, Deserialize)]
pub(super) struct Siglip {
    license: Option<String>,
    text_config: Option<SiglipTextConfig>,
    vision_config: Option<SiglipVisionConfig>,
}

impl Siglip {
    fn text_config(&self) -> SiglipTextConfig {
        self.text_config.clone().unwrap_or_default()
    }
}

impl Architecture for Siglip {
    fn preparation(&self, _files: &ModelFiles) -> &'static [&'static str] {
        &[TOKENIZER, TOKENIZER_CONFIG, PREPROCESSOR]
    }

    fn tokenizer(&self, files: &ModelFiles) -> Result<TextTokenizer, EmbedError> {
        tokenizer(files, self.text_config().max_position_embeddings)
    }

    fn towers(&self, files: &ModelFiles, weights: &Weights) -> Result<Towers, EmbedError> {
        let text = SiglipText::new(&weights.at("text_model"), &self.text_config())?;
        let vision = self.vision_config.clone().unwrap_or_default();
        let image = SiglipVision::new(&weights.at("vision_model"), vision)?;
        let dim = text.width();
        if image.width() != dim {
            return Err(different_dims(
                files.display(CONFIG),
                dim,
                image.width(),
                "",
            ));
        }
        let root = weights.at("");
        let factor = root.scalar("logit_scale")?.exp();
        let bias = root.scalar("logit_bias")?;
        Ok(Towers {
            model_type: "siglip".to_owned(),
            license: self.license.clone(),
            dim,
            scale: Scale {
                bias: Some(bias),
                ..Scale::learned(factor)
            },
            text: Branch::text(text, Projection::Identity),
            image: Some(Branch::image(image, Projection::Identity)),
        })
    }
}

/// Reads the tokenizer and pads every text to `length` tokens.
pub(super) fn tokenizer(files: &ModelFiles, length: usize) -> Result<TextTokenizer, EmbedError> {
    let mut tokenizer = TextTokenizer::open(files)?;
    // Both were trained on lower-case text; SigLIP 2's tokenizer.json does not convert it.
    tokenizer.lowercase();
    tokenizer.pad_to(length, files)?;
    Ok(tokenizer)
}
