//! CLIP's image tower (Radford et al. 2021): a vision transformer (Dosovitskiy et al. 2020) with a
//! layer norm before its layers. Its features are those of the class token.

use serde::Deserialize;
use tch::Tensor;

use super::attention::{AttentionMask, Position};
use super::clip_encoder::{ClipEncoder, Naming, Shape};
use super::layers::{Activation, LayerNorm};
use super::patch_embedding::{PatchEmbedding, PatchGrid};
use super::tower::{ImageTower, YieldPoint};
use crate::EmbedError;
use crate::weights::Scope;

/// `vision_config`. The defaults are those of `transformers`, whose files omit values that equal
/// them.
#[derive(Debug, Clone, Deserialize)]
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
    patch_embedding: PatchEmbedding,
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
            layer_norm_eps: eps,
            ..
        } = config;
        let grid = PatchGrid::new(config.image_size, config.patch_size)?;
        let [patches, class, positions, pre_norm, post_norm] = match naming {
            Naming::Transformers => [
                "embeddings.patch_embedding.weight",
                "embeddings.class_embedding",
                "embeddings.position_embedding.weight",
                // The checkpoints' spelling.
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
            patch_embedding: PatchEmbedding::new(weights, patches, None, width, &grid)?,
            class_embedding: weights.get(class, &[width])?,
            position_embedding: weights.get(positions, &[grid.count + 1, width])?,
            pre_norm: LayerNorm::new(&weights.at(pre_norm), width, eps)?,
            encoder: ClipEncoder::new(weights, &shape, naming)?,
            post_norm: LayerNorm::new(&weights.at(post_norm), width, eps)?,
            config,
        })
    }
}

impl ImageTower for ClipVision {
    fn forward(&self, pixels: &Tensor, yield_point: YieldPoint<'_>) -> tch::Result<Tensor> {
        let n = pixels.size4()?.0;
        let patches = self.patch_embedding.forward(pixels)?;
        let class = self.class_embedding.f_expand([n, 1, self.width()], false)?;
        let x = Tensor::f_cat(&[class, patches], 1)?.f_add(&self.position_embedding)?;
        let x = self.pre_norm.forward(&x)?;
        let class = Position::Same(0);
        let x = self
            .encoder
            .forward_at(x, &AttentionMask::All, &class, yield_point)?;
        self.post_norm.forward(&x)
    }

    fn width(&self) -> i64 {
        self.config.hidden_size
    }

    fn image_size(&self) -> usize {
        usize::try_from(self.config.image_size).unwrap_or(0)
    }
}
