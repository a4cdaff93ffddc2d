//! CLIP's text tower (Radford et al. 2021): a causal transformer. Its features are those of the
//! end-of-text token.

use serde::Deserialize;
use tch::Tensor;

use super::attention::{AttentionMask, Position};
use super::clip_encoder::{ClipEncoder, Naming, Shape};
use super::layers::{Activation, LayerNorm, look_up};
use super::token_batch::TokenBatch;
use super::tower::{TextTower, YieldPoint};
use crate::EmbedError;
use crate::weights::Scope;

/// `text_config`. The defaults are those of `transformers`, whose files omit values that equal
/// them.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct ClipTextConfig {
    pub vocab_size: i64,
    pub hidden_size: i64,
    pub intermediate_size: i64,
    pub num_hidden_layers: i64,
    pub num_attention_heads: i64,
    pub max_position_embeddings: i64,
    pub hidden_act: Activation,
    pub layer_norm_eps: f64,
    /// The end-of-text token, or [`END_IS_HIGHEST`].
    pub eos_token_id: u32,
}

/// Early checkpoints claim that their end-of-text token is 2, which is wrong: it is the token with
/// the highest id, as in OpenAI's code.
pub(crate) const END_IS_HIGHEST: u32 = 2;

impl Default for ClipTextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
            eos_token_id: 49407,
        }
    }
}

pub(crate) struct ClipText {
    token_embedding: Tensor,
    position_embedding: Tensor,
    encoder: ClipEncoder,
    final_layer_norm: LayerNorm,
    config: ClipTextConfig,
}

impl ClipText {
    pub fn new(
        weights: &Scope<'_>,
        config: ClipTextConfig,
        naming: Naming,
    ) -> Result<Self, EmbedError> {
        let width = config.hidden_size;
        let (tokens, positions, norm) = match naming {
            Naming::Transformers => (
                "embeddings.token_embedding.weight",
                "embeddings.position_embedding.weight",
                "final_layer_norm",
            ),
            Naming::OpenClip => ("token_embedding.weight", "positional_embedding", "ln_final"),
        };
        let shape = Shape {
            width,
            inner: config.intermediate_size,
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            eps: config.layer_norm_eps,
        };
        Ok(Self {
            token_embedding: weights.get(tokens, &[config.vocab_size, width])?,
            position_embedding: weights.get(positions, &[config.max_position_embeddings, width])?,
            encoder: ClipEncoder::new(weights, &shape, naming)?,
            final_layer_norm: LayerNorm::new(&weights.at(norm), width, config.layer_norm_eps)?,
            config,
        })
    }

    /// The position of the end-of-text token.
    fn end_position(&self, row: &[u32]) -> i64 {
        let wanted = match self.config.eos_token_id {
            END_IS_HIGHEST => row.iter().copied().max(),
            id => Some(id),
        };
        row.iter()
            .position(|&id| Some(id) == wanted)
            .unwrap_or_default() as i64
    }
}

impl TextTower for ClipText {
    fn forward(&self, batch: &TokenBatch, yield_point: YieldPoint<'_>) -> tch::Result<Tensor> {
        let positions = self.position_embedding.f_narrow(0, 0, batch.longest())?;
        let x = look_up(&self.token_embedding, &batch.ids)?.f_add(&positions)?;
        let ends: Vec<i64> = batch
            .rows()
            .iter()
            .map(|row| self.end_position(row))
            .collect();
        let end = Position::new(&ends, x.device())?;
        // Padding follows the end-of-text token, so the causal mask hides it.
        let x = self
            .encoder
            .forward_at(x, &AttentionMask::Causal, &end, yield_point)?;
        self.final_layer_norm.forward(&x)
    }

    fn width(&self) -> i64 {
        self.config.hidden_size
    }

    fn context_length(&self) -> usize {
        usize::try_from(self.config.max_position_embeddings).unwrap_or(0)
    }
}
