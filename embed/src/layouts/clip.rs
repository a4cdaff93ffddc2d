//! `transformers`' `CLIPModel`.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::folder::{Architecture, OpenWeights, Towers, softmax_scale};
use super::layout::ImageBranch;
use crate::EmbedError;
use crate::model::Branch;
use crate::sources::{CONFIG, ModelFiles, PREPROCESSOR};
use crate::towers::{
    ClipText, ClipVision, ImageTower, Linear, Naming, Projection, TextTower, parse,
};
use crate::weights::Weights;

#[derive(Debug, Deserialize)]
pub(super) struct Clip {
    license: Option<String>,
    projection_dim: Option<i64>,
    text_config: Option<Value>,
    vision_config: Option<Value>,
    /// Early CLIP files have the correct values here, whatever the two above say.
    text_config_dict: Option<Value>,
    vision_config_dict: Option<Value>,
}

impl Clip {
    fn text(&self, weights: &Weights) -> Result<ClipText, EmbedError> {
        let config = first_of(&self.text_config_dict, &self.text_config)?;
        ClipText::new(&weights.at("text_model"), config, Naming::Transformers)
    }

    fn vision(&self, weights: &Weights) -> Result<ClipVision, EmbedError> {
        let config = first_of(&self.vision_config_dict, &self.vision_config)?;
        ClipVision::new(&weights.at("vision_model"), config, Naming::Transformers)
    }
}

impl Architecture for Clip {
    fn towers(&self, _files: &ModelFiles, weights: &Weights) -> Result<Towers, EmbedError> {
        let (text, image) = (self.text(weights)?, self.vision(weights)?);
        let shared = SharedSpace {
            model_type: "clip",
            license: self.license.clone(),
            projection_dim: self.projection_dim,
        };
        shared.towers(weights, text, image)
    }

    fn image(&self, _files: &ModelFiles, open: OpenWeights<'_>) -> Result<ImageBranch, EmbedError> {
        let weights = open(&[PREPROCESSOR])?;
        let image = self.vision(&weights)?;
        let dim = projection_dim(self.projection_dim);
        let branch = visual_branch(&weights, image, dim)?;
        let scale = softmax_scale(&weights.at(""))?;
        Ok(ImageBranch::new(branch, dim, scale, &weights))
    }
}

/// The shared space of `transformers`' CLIP-like models: a linear projection of each tower, and a
/// scale for softmax.
pub(super) struct SharedSpace {
    pub model_type: &'static str,
    pub license: Option<String>,
    pub projection_dim: Option<i64>,
}

impl SharedSpace {
    pub fn towers(
        self,
        weights: &Weights,
        text: impl TextTower + 'static,
        image: impl ImageTower + 'static,
    ) -> Result<Towers, EmbedError> {
        let dim = projection_dim(self.projection_dim);
        let scale = softmax_scale(&weights.at(""))?;
        let projection = linear(weights, "text_projection", text.width(), dim)?;
        Ok(Towers {
            model_type: self.model_type.to_owned(),
            license: self.license,
            dim,
            scale,
            text: Branch::text(text, projection),
            image: Some(visual_branch(weights, image, dim)?),
        })
    }
}

fn visual_branch(
    weights: &Weights,
    image: impl ImageTower + 'static,
    dim: i64,
) -> Result<Branch<dyn ImageTower>, EmbedError> {
    let projection = linear(weights, "visual_projection", image.width(), dim)?;
    Ok(Branch::image(image, projection))
}

fn linear(weights: &Weights, name: &str, width: i64, dim: i64) -> Result<Projection, EmbedError> {
    Linear::without_bias(&weights.at(name), width, dim).map(Projection::Linear)
}

/// `transformers`' default is 512.
fn projection_dim(configured: Option<i64>) -> i64 {
    configured.unwrap_or(512)
}

/// Parses the first configuration that is present. An absent configuration consists of defaults.
fn first_of<T: DeserializeOwned + Default>(
    preferred: &Option<Value>,
    other: &Option<Value>,
) -> Result<T, EmbedError> {
    match preferred.as_ref().or(other.as_ref()) {
        Some(config) => parse(CONFIG, config.clone()),
        None => Ok(T::default()),
    }
}
