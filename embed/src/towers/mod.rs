//! The networks, one file each, and the table from `config.json` to them.
//!
//! To add a family: write its file (a config struct by serde, `new(weights, config)`,
//! `forward`, tensors by the checkpoint's own names), and give its `model_type` an arm
//! in [`text_tower`] or [`image_tower`]. Nothing else knows the families apart.

mod bert;
mod clip_encoder;
mod clip_text;
mod clip_vision;
mod efficientnet_lite;
mod layers;
mod projection;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::EmbedError;
use crate::weights::Scope;

pub(crate) use layers::Linear;
pub(crate) use projection::{Branches, BranchesConfig, Projection};

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

pub(crate) fn text_tower(
    model_type: &str,
    config: Value,
    weights: &Scope<'_>,
) -> Result<Box<dyn TextTower>, EmbedError> {
    match model_type {
        "clip_text_model" => Ok(Box::new(clip_text::ClipText::new(weights, parse(config)?)?)),
        "bert" => Ok(Box::new(bert::Bert::new(weights, parse(config)?)?)),
        _ => Err(EmbedError::Unsupported {
            what: "text tower",
            value: model_type.to_owned(),
            supported: "clip_text_model, bert",
        }),
    }
}

pub(crate) fn image_tower(
    model_type: &str,
    config: Value,
    weights: &Scope<'_>,
) -> Result<Box<dyn ImageTower>, EmbedError> {
    match model_type {
        "clip_vision_model" => Ok(Box::new(clip_vision::ClipVision::new(
            weights,
            parse(config)?,
        )?)),
        "efficientnet-lite" => Ok(Box::new(efficientnet_lite::EfficientNetLite::new(
            weights,
            parse(config)?,
        )?)),
        _ => Err(EmbedError::Unsupported {
            what: "image tower",
            value: model_type.to_owned(),
            supported: "clip_vision_model, efficientnet-lite",
        }),
    }
}

fn parse<T: DeserializeOwned>(config: Value) -> Result<T, EmbedError> {
    serde_json::from_value(config).map_err(|error| EmbedError::file("config.json", error))
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
