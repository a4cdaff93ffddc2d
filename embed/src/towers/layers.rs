//! Layers that all transformers share.

use serde::Deserialize;
use tch::{Kind, Tensor};

use super::linear::Linear;
use crate::EmbedError;
use crate::threads;
use crate::weights::Scope;

/// Layer normalisation (Ba et al. 2016).
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    pub fn new(scope: &Scope<'_>, width: i64, eps: f64) -> Result<Self, EmbedError> {
        Ok(Self {
            weight: scope.get("weight", &[width])?,
            bias: scope.get("bias", &[width])?,
            eps,
        })
    }

    pub fn forward(&self, x: &Tensor) -> tch::Result<Tensor> {
        threads::with_threads_for(8 * x.numel() as i64, || {
            x.f_layer_norm(
                self.weight.size(),
                Some(&self.weight),
                Some(&self.bias),
                self.eps,
                true,
            )
        })
    }
}

/// An activation function, with its name in `hidden_act`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Activation {
    /// `x · σ(1.702 x)`, the activation of OpenAI's CLIP.
    QuickGelu,
    /// `x · Φ(x)`, exactly.
    Gelu,
    /// `Gelu`, approximated with the hyperbolic tangent.
    GeluPytorchTanh,
    Relu,
    Tanh,
}

impl Activation {
    pub fn forward(self, x: &Tensor) -> tch::Result<Tensor> {
        threads::with_threads_for(8 * x.numel() as i64, || match self {
            Self::QuickGelu => x.f_mul_scalar(1.702)?.f_sigmoid_()?.f_mul_(x),
            Self::Gelu => x.f_gelu("none"),
            Self::GeluPytorchTanh => x.f_gelu("tanh"),
            Self::Relu => x.f_relu(),
            Self::Tanh => x.f_tanh(),
        })
    }
}

/// Two linear layers with an activation in between.
pub(crate) struct Mlp {
    first: Linear,
    activation: Activation,
    second: Linear,
}

impl Mlp {
    pub fn new(first: Linear, activation: Activation, second: Linear) -> Self {
        Self {
            first,
            activation,
            second,
        }
    }

    pub fn forward(&self, x: &Tensor) -> tch::Result<Tensor> {
        let hidden = self.first.forward(x)?;
        self.second.forward(&self.activation.forward(&hidden)?)
    }
}

/// Looks up rows of `table`: indices of any shape `[…]` to `[…, width]`.
pub(super) fn look_up(table: &Tensor, ids: &Tensor) -> tch::Result<Tensor> {
    debug_assert_eq!(ids.kind(), Kind::Int64);
    Tensor::f_embedding(table, ids, -1, false, false)
}
