//! The towers of the bundled layout, by the `model_type` that its configuration names.

use serde_json::Value;

use super::bert::Bert;
use super::clip_encoder::Naming;
use super::clip_text::ClipText;
use super::clip_vision::ClipVision;
use super::config::parse;
use super::efficientnet_lite::EfficientNetLite;
use super::multilingual_text::MultilingualText;
use super::tower::{ImageTower, TextTower};
use crate::EmbedError;
use crate::sources::CONFIG;
use crate::weights::Scope;

/// The text tower that reads the tokens of two tokenizers.
pub(crate) const MULTILINGUAL_TEXT: &str = "multilingual_text";

/// Builds the text tower `model_type`.
///
/// # Errors
/// [`EmbedError::Unsupported`] for an unknown type, and the errors of building the tower.
pub(crate) fn text_tower(
    model_type: &str,
    config: Value,
    weights: &Scope<'_>,
) -> Result<Box<dyn TextTower>, EmbedError> {
    match model_type {
        "clip_text_model" => Ok(Box::new(ClipText::new(
            weights,
            parse(CONFIG, config)?,
            Naming::Transformers,
        )?)),
        "bert" => Ok(Box::new(Bert::new(weights, &parse(CONFIG, config)?)?)),
        MULTILINGUAL_TEXT => Ok(Box::new(MultilingualText::new(
            weights,
            &parse(CONFIG, config)?,
        )?)),
        _ => Err(EmbedError::Unsupported {
            what: "text tower",
            value: model_type.to_owned(),
            supported: "clip_text_model, bert, multilingual_text",
        }),
    }
}

/// Builds the image tower `model_type`.
///
/// # Errors
/// As [`text_tower`].
pub(crate) fn image_tower(
    model_type: &str,
    config: Value,
    weights: &Scope<'_>,
) -> Result<Box<dyn ImageTower>, EmbedError> {
    match model_type {
        "clip_vision_model" => Ok(Box::new(ClipVision::new(
            weights,
            parse(CONFIG, config)?,
            Naming::Transformers,
        )?)),
        "efficientnet-lite" => Ok(Box::new(EfficientNetLite::new(
            weights,
            parse(CONFIG, config)?,
        )?)),
        _ => Err(EmbedError::Unsupported {
            what: "image tower",
            value: model_type.to_owned(),
            supported: "clip_vision_model, efficientnet-lite",
        }),
    }
}
