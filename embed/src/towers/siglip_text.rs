//! SigLIP's text tower (Zhai et al. 2023): a transformer without a mask, trained on texts that are
//! padded to a fixed length. Its features are those of the last position, padding or not.

use serde::Deserialize;
use tch::Tensor;

use super::attention::{AttentionMask, Position};
use super::clip_encoder::{ClipEncoder, Naming, Shape};
use super::layers::{Activation, LayerNorm, look_up};
use super::linear::Linear;
use super::token_batch::TokenBatch;
use super::tower::{TextTower, YieldPoint};
use crate::EmbedError;
use crate::weights::Scope;

/// `text_config`. The defaults are those of `transformers`, whose files omit values that equal
/// them.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct SiglipTextConfig {
    vocab_size: i64,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    /// Every text is padded to this length.
    pub max_position_embeddings: usize,
    hidden_act: Activation,
    layer_norm_eps: f64,
    projection_size: Option<i64>,
}

impl Default for SiglipTextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 32000,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            max_position_embeddings: 64,
            hidden_act: Activation::GeluPytorchTanh,
            layer_norm_eps: 1e-6,
            projection_size: None,
        }
    }
}

pub(crate) struct SiglipText {
    token_embedding: Tensor,
    position_embedding: Tensor,
    encoder: ClipEncoder,
    final_layer_norm: LayerNorm,
    head: Linear,
    width: i64,
    context_length: usize,
}

impl SiglipText {
    pub fn new(weights: &Scope<'_>, config: &SiglipTextConfig) -> Result<Self, EmbedError> {
        let width = config.hidden_size;
        let projected = config.projection_size.unwrap_or(width);
        let positions = config.max_position_embeddings;
        let embeddings = weights.at("embeddings");
        let shape = Shape {
            width,
            inner: config.intermediate_size,
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            eps: config.layer_norm_eps,
        };
        Ok(Self {
            token_embedding: embeddings
                .get("token_embedding.weight", &[config.vocab_size, width])?,
            position_embedding: embeddings
                .get("position_embedding.weight", &[positions as i64, width])?,
            encoder: ClipEncoder::new(weights, &shape, Naming::Transformers)?,
            final_layer_norm: LayerNorm::new(
                &weights.at("final_layer_norm"),
                width,
                config.layer_norm_eps,
            )?,
            head: Linear::new(&weights.at("head"), width, projected)?,
            width: projected,
            context_length: positions,
        })
    }
}

impl TextTower for SiglipText {
    fn forward(&self, batch: &TokenBatch, yield_point: YieldPoint<'_>) -> tch::Result<Tensor> {
        let length = batch.longest();
        let positions = self.position_embedding.f_narrow(0, 0, length)?;
        let x = look_up(&self.token_embedding, &batch.ids)?.f_add(&positions)?;
        let last = Position::Same(length - 1);
        let last = self
            .encoder
            .forward_at(x, &AttentionMask::All, &last, yield_point)?;
        self.head.forward(&self.final_layer_norm.forward(&last)?)
    }

    fn width(&self) -> i64 {
        self.width
    }

    fn context_length(&self) -> usize {
        self.context_length
    }
}
