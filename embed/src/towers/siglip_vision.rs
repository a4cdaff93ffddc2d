//! SigLIP's image tower (Zhai et al. 2023): a vision transformer without a class token. One learned
//! query that attends to every patch pools it (Zhai et al. 2022).

use serde::Deserialize;
use tch::Tensor;

use super::attention::{AttentionMask, AttentionPooling};
use super::clip_encoder::{ClipEncoder, Naming, Shape};
use super::layers::{Activation, LayerNorm, Mlp};
use super::linear::Linear;
use super::patch_embedding::{PatchEmbedding, PatchGrid};
use super::tower::{ImageTower, YieldPoint};
use crate::EmbedError;
use crate::weights::Scope;

/// `vision_config`. The defaults are those of `transformers`, whose files omit values that equal
/// them.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct SiglipVisionConfig {
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    image_size: i64,
    patch_size: i64,
    hidden_act: Activation,
    layer_norm_eps: f64,
}

impl Default for SiglipVisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            image_size: 224,
            patch_size: 16,
            hidden_act: Activation::GeluPytorchTanh,
            layer_norm_eps: 1e-6,
        }
    }
}

pub(crate) struct SiglipVision {
    patch_embedding: PatchEmbedding,
    position_embedding: Tensor,
    encoder: ClipEncoder,
    post_norm: LayerNorm,
    head: Head,
    config: SiglipVisionConfig,
}

/// Multi-head attention pooling.
struct Head {
    /// `[1, 1, width]`
    probe: Tensor,
    attention: AttentionPooling,
    norm: LayerNorm,
    mlp: Mlp,
}

impl SiglipVision {
    pub fn new(weights: &Scope<'_>, config: SiglipVisionConfig) -> Result<Self, EmbedError> {
        let SiglipVisionConfig {
            hidden_size: width,
            layer_norm_eps: eps,
            ..
        } = config;
        let grid = PatchGrid::new(config.image_size, config.patch_size)?;
        let shape = Shape {
            width,
            inner: config.intermediate_size,
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            eps,
        };
        let embeddings = weights.at("embeddings");
        Ok(Self {
            patch_embedding: PatchEmbedding::new(
                &embeddings,
                "patch_embedding.weight",
                Some("patch_embedding.bias"),
                width,
                &grid,
            )?,
            position_embedding: embeddings
                .get("position_embedding.weight", &[grid.count, width])?,
            encoder: ClipEncoder::new(weights, &shape, Naming::Transformers)?,
            post_norm: LayerNorm::new(&weights.at("post_layernorm"), width, eps)?,
            head: Head::new(&weights.at("head"), &shape)?,
            config,
        })
    }
}

impl ImageTower for SiglipVision {
    fn forward(&self, pixels: &Tensor, yield_point: YieldPoint<'_>) -> tch::Result<Tensor> {
        let x = self
            .patch_embedding
            .forward(pixels)?
            .f_add(&self.position_embedding)?;
        let x = self.encoder.forward(x, &AttentionMask::All, yield_point)?;
        self.head.forward(&self.post_norm.forward(&x)?)
    }

    fn width(&self) -> i64 {
        self.config.hidden_size
    }

    fn image_size(&self) -> usize {
        usize::try_from(self.config.image_size).unwrap_or(0)
    }
}

impl Head {
    fn new(weights: &Scope<'_>, shape: &Shape) -> Result<Self, EmbedError> {
        let width = shape.width;
        Ok(Self {
            probe: weights.get("probe", &[1, 1, width])?,
            attention: AttentionPooling::packed(&weights.at("attention"), width, shape.heads)?,
            norm: LayerNorm::new(&weights.at("layernorm"), width, shape.eps)?,
            mlp: Mlp::new(
                Linear::new(&weights.at("mlp.fc1"), width, shape.inner)?,
                shape.activation,
                Linear::new(&weights.at("mlp.fc2"), shape.inner, width)?,
            ),
        })
    }

    /// `[n, patches, width]` to `[n, width]`.
    fn forward(&self, x: &Tensor) -> tch::Result<Tensor> {
        let (n, _, width) = x.size3()?;
        let probe = self.probe.f_expand([n, 1, width], false)?;
        let x = self.attention.forward(&probe, x)?;
        self.mlp.forward(&self.norm.forward(&x)?)?.f_add_(&x)
    }
}
