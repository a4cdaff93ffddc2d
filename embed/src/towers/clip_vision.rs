//! CLIP's image tower (Radford et al. 2021): a vision transformer (Dosovitskiy et al.
//! 2020) with a norm before its layers, read at the class token.

use serde::Deserialize;
use tch::Tensor;

use super::clip_encoder::{ClipEncoder, Naming, Shape};
use super::layers::{Activation, LayerNorm, Place, Visible};
use super::{ImageTower, Pause};
use crate::EmbedError;
use crate::weights::Scope;

/// `vision_config`; the defaults are those of `transformers`, whose files leave out
/// what equals them.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct ClipVisionConfig {
    pub hidden_size: i64,
    pub intermediate_size: i64,
    pub num_hidden_layers: i64,
    pub num_attention_heads: i64,
    pub image_size: i64,
    pub patch_size: i64,
    pub hidden_act: Activation,
    pub layer_norm_eps: f64,
}

impl Default for ClipVisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            image_size: 224,
            patch_size: 32,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }
}

pub(crate) struct ClipVision {
    patch_embedding: Tensor,
    class_embedding: Tensor,
    position_embedding: Tensor,
    pre_norm: LayerNorm,
    encoder: ClipEncoder,
    post_norm: LayerNorm,
    config: ClipVisionConfig,
}

impl ClipVision {
    pub fn new(
        weights: &Scope<'_>,
        config: ClipVisionConfig,
        naming: Naming,
    ) -> Result<Self, EmbedError> {
        let ClipVisionConfig {
            hidden_size: width,
            patch_size: patch,
            image_size,
            layer_norm_eps: eps,
            ..
        } = config;
        if patch <= 0 || image_size < patch {
            return Err(EmbedError::file(
                "config.json",
                format!("an image of {image_size} pixels does not divide into patches of {patch}"),
            ));
        }
        let side = image_size / patch;
        let [patches, class, positions, pre_norm, post_norm] = match naming {
            Naming::Transformers => [
                "embeddings.patch_embedding.weight",
                "embeddings.class_embedding",
                "embeddings.position_embedding.weight",
                // The checkpoints spell it so.
                "pre_layrnorm",
                "post_layernorm",
            ],
            Naming::OpenClip => [
                "conv1.weight",
                "class_embedding",
                "positional_embedding",
                "ln_pre",
                "ln_post",
            ],
        };
        let shape = Shape {
            width,
            inner: config.intermediate_size,
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            eps,
        };
        Ok(Self {
            patch_embedding: weights.get(patches, &[width, 3, patch, patch])?,
            class_embedding: weights.get(class, &[width])?,
            position_embedding: weights.get(positions, &[side * side + 1, width])?,
            pre_norm: LayerNorm::new(&weights.at(pre_norm), width, eps)?,
            encoder: ClipEncoder::new(weights, &shape, naming)?,
            post_norm: LayerNorm::new(&weights.at(post_norm), width, eps)?,
            config,
        })
    }
}

impl ImageTower for ClipVision {
    fn forward(&self, pixels: &Tensor, pause: Pause<'_>) -> tch::Result<Tensor> {
        let n = pixels.size4()?.0;
        let (width, patch) = (self.config.hidden_size, self.config.patch_size);
        let patches = pixels
            .f_conv2d(&self.patch_embedding, None::<Tensor>, patch, 0, 1, 1)?
            .f_flatten(2, 3)?
            .f_transpose(1, 2)?;
        let class = self.class_embedding.f_expand([n, 1, width], false)?;
        let x = Tensor::f_cat(&[class, patches], 1)?.f_add(&self.position_embedding)?;
        let x = self.pre_norm.forward(&x)?;
        let class = Place::Same(0);
        let x = self.encoder.forward_at(x, &Visible::All, &class, pause)?;
        self.post_norm.forward(&x)
    }

    fn width(&self) -> i64 {
        self.config.hidden_size
    }

    fn image_size(&self) -> usize {
        usize::try_from(self.config.image_size).unwrap_or(0)
    }
}
