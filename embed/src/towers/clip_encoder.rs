//! The pre-norm transformer of CLIP's and SigLIP's towers.

use tch::Tensor;

use super::attention::{AttentionMask, Position, SelfAttention, check_heads};
use super::layers::{Activation, LayerNorm, Mlp};
use super::linear::Linear;
use super::tower::YieldPoint;
use crate::EmbedError;
use crate::threads;
use crate::weights::Scope;

/// The shape of one tower's transformer.
pub(super) struct Shape {
    pub width: i64,
    /// Width of the hidden layer of an MLP.
    pub inner: i64,
    pub layers: i64,
    pub heads: i64,
    pub activation: Activation,
    pub eps: f64,
}

/// The naming scheme of the tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Hugging Face's `transformers`.
    Transformers,
    /// OpenAI's and OpenCLIP's.
    OpenClip,
}

pub(super) struct ClipEncoder {
    layers: Vec<Layer>,
}

struct Layer {
    norm1: LayerNorm,
    attention: SelfAttention,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl ClipEncoder {
    /// `weights` is the scope of the tower.
    pub fn new(weights: &Scope<'_>, shape: &Shape, naming: Naming) -> Result<Self, EmbedError> {
        check_heads(shape.width, shape.heads)?;
        let layers = (0..shape.layers)
            .map(|number| match naming {
                Naming::Transformers => {
                    Layer::transformers(&weights.at("encoder.layers").at(number), shape)
                }
                Naming::OpenClip => {
                    Layer::open_clip(&weights.at("transformer.resblocks").at(number), shape)
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { layers })
    }

    /// `[n, length, width]` to the same shape.
    pub fn forward(
        &self,
        x: Tensor,
        mask: &AttentionMask<'_>,
        yield_point: YieldPoint<'_>,
    ) -> tch::Result<Tensor> {
        self.layers.iter().try_fold(x, |x, layer| {
            yield_point();
            layer.forward(&x, mask)
        })
    }

    /// The output at one position of each row, `[n, width]`. The last layer computes no other.
    pub fn forward_at(
        &self,
        x: Tensor,
        mask: &AttentionMask<'_>,
        position: &Position,
        yield_point: YieldPoint<'_>,
    ) -> tch::Result<Tensor> {
        let Some((last, layers)) = self.layers.split_last() else {
            return position.select(&x)?.f_squeeze_dim(1);
        };
        let x = layers.iter().try_fold(x, |x, layer| {
            yield_point();
            layer.forward(&x, mask)
        })?;
        yield_point();
        last.forward_at(&x, mask, position)?.f_squeeze_dim(1)
    }
}

impl Layer {
    fn open_clip(weights: &Scope<'_>, shape: &Shape) -> Result<Self, EmbedError> {
        let width = shape.width;
        Ok(Self {
            norm1: LayerNorm::new(&weights.at("ln_1"), width, shape.eps)?,
            attention: SelfAttention::packed(&weights.at("attn"), width, shape.heads)?,
            norm2: LayerNorm::new(&weights.at("ln_2"), width, shape.eps)?,
            mlp: Mlp::new(
                Linear::new(&weights.at("mlp.c_fc"), width, shape.inner)?,
                shape.activation,
                Linear::new(&weights.at("mlp.c_proj"), shape.inner, width)?,
            ),
        })
    }

    fn transformers(weights: &Scope<'_>, shape: &Shape) -> Result<Self, EmbedError> {
        let width = shape.width;
        let attention = weights.at("self_attn");
        let projection = |name| Linear::new(&attention.at(name), width, width);
        Ok(Self {
            norm1: LayerNorm::new(&weights.at("layer_norm1"), width, shape.eps)?,
            attention: SelfAttention::new(
                [
                    projection("q_proj")?,
                    projection("k_proj")?,
                    projection("v_proj")?,
                ],
                projection("out_proj")?,
                shape.heads,
            )?,
            norm2: LayerNorm::new(&weights.at("layer_norm2"), width, shape.eps)?,
            mlp: Mlp::new(
                Linear::new(&weights.at("mlp").at("fc1"), width, shape.inner)?,
                shape.activation,
                Linear::new(&weights.at("mlp").at("fc2"), shape.inner, width)?,
            ),
        })
    }

    fn forward(&self, x: &Tensor, mask: &AttentionMask<'_>) -> tch::Result<Tensor> {
        let attended = self.attention.forward(&self.norm1.forward(x)?, mask)?;
        self.after_attention(attended, x)
    }

    /// The output at one position of each row, `[n, 1, width]`.
    fn forward_at(
        &self,
        x: &Tensor,
        mask: &AttentionMask<'_>,
        position: &Position,
    ) -> tch::Result<Tensor> {
        let normed = self.norm1.forward(x)?;
        let attended = self.attention.forward_at(&normed, mask, position)?;
        self.after_attention(attended, &position.select(x)?)
    }

    fn after_attention(&self, attended: Tensor, x: &Tensor) -> tch::Result<Tensor> {
        let x = add(attended, x)?;
        add(self.mlp.forward(&self.norm2.forward(&x)?)?, &x)
    }
}

fn add(mut x: Tensor, other: &Tensor) -> tch::Result<Tensor> {
    threads::with_threads_for(8 * x.numel() as i64, || x.f_add_(other))
}
