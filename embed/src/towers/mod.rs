//! The networks, one file each. Each reads its tensors by the checkpoint's own names.
//!
//! To add one: write its file (a config struct, `new(weights, config)`, `forward`), and
//! build it in the layout whose folders hold it (`layouts`).

mod bert;
mod clip_encoder;
mod clip_text;
mod clip_vision;
mod convolution;
mod efficientnet_lite;
mod layers;
mod linear;
mod modified_resnet;
mod panels;
mod pooling;
mod projection;
mod roberta;
mod siglip_text;
mod siglip_vision;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::EmbedError;
use crate::sources::CONFIG;
use crate::weights::Scope;

pub(crate) use bert::{Bert, BertConfig, EPS as BERT_EPS, PositionEmbedding};
pub(crate) use clip_encoder::Naming;
pub(crate) use clip_text::{ClipText, ClipTextConfig};
pub(crate) use clip_vision::{ClipVision, ClipVisionConfig};
pub(crate) use layers::{Activation, Mlp};
pub(crate) use linear::Linear;
pub(crate) use modified_resnet::{ModifiedResNet, ModifiedResNetConfig};
pub(crate) use pooling::Pooling;
pub(crate) use projection::{Branches, BranchesConfig, Projection};
pub(crate) use roberta::{EPS as ROBERTA_EPS, PADDING as ROBERTA_PADDING, roberta};
pub(crate) use siglip_text::{SiglipText, SiglipTextConfig};
pub(crate) use siglip_vision::{SiglipVision, SiglipVisionConfig};

/// What a tower calls between its layers: there the device thread lets a search that waits
/// go first, so that no search waits for a whole batch of ingest.
pub(crate) type Pause<'a> = &'a dyn Fn();

/// From tokens to one row of features a text.
pub(crate) trait TextTower: Send {
    /// `[n, width]`, before the projection.
    fn forward(&self, batch: &TokenBatch, pause: Pause<'_>) -> tch::Result<Tensor>;
    fn width(&self) -> i64;
    /// Tokens it can see, the special ones included.
    fn context_length(&self) -> usize;
}

/// From pixels to one row of features a picture.
pub(crate) trait ImageTower: Send {
    /// `pixels` is `[n, 3, image_size, image_size]`; the answer `[n, width]`, before
    /// the projection.
    fn forward(&self, pixels: &Tensor, pause: Pause<'_>) -> tch::Result<Tensor>;
    fn width(&self) -> i64;
    fn image_size(&self) -> usize;
}

/// A tower of the bundled layout, where each says what it is.
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
        _ => Err(EmbedError::Unsupported {
            what: "text tower",
            value: model_type.to_owned(),
            supported: "clip_text_model, bert",
        }),
    }
}

/// The same for pictures.
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
        "efficientnet-lite" => Ok(Box::new(efficientnet_lite::EfficientNetLite::new(
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

/// A part of the configuration in `file` as what a tower takes.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, config: Value) -> Result<T, EmbedError> {
    serde_json::from_value(config).map_err(|error| EmbedError::file(file, error))
}

/// Texts of one batch, padded on the right to the longest of them.
pub(crate) struct TokenBatch<'a> {
    rows: &'a [&'a [u32]],
    /// `[n, longest]`. What lies beyond a row's own length is never seen.
    pub ids: Tensor,
}

impl<'a> TokenBatch<'a> {
    pub fn new(rows: &'a [&'a [u32]], device: Device) -> tch::Result<Self> {
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let mut ids = Vec::with_capacity(rows.len() * longest);
        for row in rows {
            ids.extend(row.iter().map(|&id| i64::from(id)));
            ids.resize(ids.len() + longest - row.len(), 0);
        }
        let ids = Tensor::f_from_slice(&ids)?
            .f_view([rows.len() as i64, longest as i64])?
            .f_to_device(device)?;
        Ok(Self { rows, ids })
    }

    pub fn rows(&self) -> &[&'a [u32]] {
        self.rows
    }

    pub fn longest(&self) -> i64 {
        self.rows.iter().map(|row| row.len()).max().unwrap_or(0) as i64
    }

    /// `[n, longest]`, true on tokens and false on padding; `None` when nothing is
    /// padded, for then the faster kernels apply.
    pub fn mask(&self) -> tch::Result<Option<Tensor>> {
        let longest = self.longest();
        if self.rows.iter().all(|row| row.len() as i64 == longest) {
            return Ok(None);
        }
        let lengths = self.lengths()?.f_unsqueeze(1)?;
        let places = Tensor::f_arange(longest, (Kind::Int64, self.ids.device()))?;
        places.f_lt_tensor(&lengths).map(Some)
    }

    /// `[n]`.
    pub fn lengths(&self) -> tch::Result<Tensor> {
        let lengths: Vec<i64> = self.rows.iter().map(|row| row.len() as i64).collect();
        Tensor::f_from_slice(&lengths)?.f_to_device(self.ids.device())
    }
}

#[cfg(test)]
mod tests;
