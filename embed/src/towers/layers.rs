//! What transformers have in common.

use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::linear::Linear;
use crate::EmbedError;
use crate::threads;
use crate::weights::Scope;

pub(crate) struct LayerNorm {
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
        threads::sized(8 * x.numel() as i64, || {
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

/// Names as in `hidden_act`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Activation {
    /// `x · σ(1.702 x)`: what OpenAI's CLIP was trained with.
    QuickGelu,
    /// `x · Φ(x)`, exactly.
    Gelu,
    /// The same by way of the hyperbolic tangent.
    GeluPytorchTanh,
    Relu,
    Tanh,
}

impl Activation {
    pub fn forward(self, x: &Tensor) -> tch::Result<Tensor> {
        threads::sized(8 * x.numel() as i64, || match self {
            Self::QuickGelu => x.f_mul_scalar(1.702)?.f_sigmoid_()?.f_mul_(x),
            Self::Gelu => x.f_gelu("none"),
            Self::GeluPytorchTanh => x.f_gelu("tanh"),
            Self::Relu => x.f_relu(),
            Self::Tanh => x.f_tanh(),
        })
    }
}

/// Two linear layers with an activation between them.
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

/// Which positions a position may look at.
pub(crate) enum Visible<'a> {
    All,
    /// Itself and what is before it.
    Causal,
    /// `[n, 1, 1, length]`, true where there is something to see.
    Where(&'a Tensor),
}

/// Multi-head self-attention (Vaswani et al. 2017) on LibTorch's fused kernel.
pub(crate) struct SelfAttention {
    query_key_value: Linear,
    output: Linear,
    heads: i64,
}

impl SelfAttention {
    /// `projections` are query, key and value.
    pub fn new(projections: [Linear; 3], output: Linear, heads: i64) -> Result<Self, EmbedError> {
        Ok(Self {
            query_key_value: Linear::joined(&projections)
                .map_err(EmbedError::torch("loading weights"))?,
            output,
            heads,
        })
    }

    /// As PyTorch's own module stores it: `in_proj_weight`, `in_proj_bias`, `out_proj`.
    pub fn packed(scope: &Scope<'_>, width: i64, heads: i64) -> Result<Self, EmbedError> {
        Ok(Self {
            query_key_value: Linear::query_key_value(scope, width)?,
            output: Linear::new(&scope.at("out_proj"), width, width)?,
            heads,
        })
    }

    /// `x` and the answer: `[n, length, width]`.
    pub fn forward(&self, x: &Tensor, visible: &Visible<'_>) -> tch::Result<Tensor> {
        let (mask, causal) = match visible {
            Visible::All => (None, false),
            Visible::Causal => (None, true),
            Visible::Where(mask) => (Some(*mask), false),
        };
        let all = self.query_key_value.forward(x)?;
        let query = all.f_narrow(2, 0, x.size3()?.2)?;
        self.attend(&query, &all, mask, causal)
    }

    /// The same at one position of each row: `[n, 1, width]`.
    pub fn forward_at(
        &self,
        x: &Tensor,
        visible: &Visible<'_>,
        place: &Place,
    ) -> tch::Result<Tensor> {
        let (_, length, width) = x.size3()?;
        let before = match visible {
            Visible::Causal => place.and_before(length, x.device())?,
            _ => None,
        };
        let mask = match visible {
            Visible::Where(mask) => Some(*mask),
            _ => before.as_ref(),
        };
        let all = self.query_key_value.forward(x)?;
        let query = place.of(&all.f_narrow(2, 0, width)?)?;
        self.attend(&query, &all, mask, false)
    }

    /// `query` is `[n, queries, width]`, `all` `[n, length, 3 · width]` with the keys and
    /// values behind the queries.
    fn attend(
        &self,
        query: &Tensor,
        all: &Tensor,
        mask: Option<&Tensor>,
        causal: bool,
    ) -> tch::Result<Tensor> {
        let (n, queries, width) = query.size3()?;
        let heads = |tensor: &Tensor| {
            tensor
                .f_view([n, -1, self.heads, width / self.heads])?
                .f_transpose(1, 2)
        };
        let attended = attention(
            &heads(query)?,
            &heads(&all.f_narrow(2, width, width)?)?,
            &heads(&all.f_narrow(2, 2 * width, width)?)?,
            mask,
            causal,
        )?;
        let joined = attended.f_transpose(1, 2)?.f_reshape([n, queries, width])?;
        self.output.forward(&joined)
    }
}

/// `query` is `[n, heads, queries, head]`, `key` and `value` `[n, heads, length, head]`; the
/// answer has the shape of the query.
fn attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    mask: Option<&Tensor>,
    causal: bool,
) -> tch::Result<Tensor> {
    let operations = 4 * query.numel() as i64 * key.size4()?.2;
    threads::sized(operations, || {
        Tensor::f_scaled_dot_product_attention(query, key, value, mask, 0.0, causal, None, false)
    })
}

/// The one position of each row that is read. After a last layer nothing else is, so that
/// it need not be computed.
pub(crate) enum Place {
    Same(i64),
    /// `[n]`.
    Each(Tensor),
}

impl Place {
    pub fn new(places: &[i64], device: Device) -> tch::Result<Self> {
        match places {
            [first, others @ ..] if others.iter().all(|place| place == first) => {
                Ok(Self::Same(*first))
            }
            _ => Tensor::f_from_slice(places)?
                .f_to_device(device)
                .map(Self::Each),
        }
    }

    /// `[n, length, width]` to `[n, 1, width]`.
    pub fn of(&self, x: &Tensor) -> tch::Result<Tensor> {
        let (n, _, width) = x.size3()?;
        match self {
            Self::Same(place) => x.f_narrow(1, *place, 1),
            Self::Each(places) => {
                let places = places.f_view([n, 1, 1])?.f_expand([n, 1, width], false)?;
                x.f_gather(1, &places, false)
            }
        }
    }

    /// `[n, 1, 1, length]`, true up to the place; `None` when that is everywhere.
    fn and_before(&self, length: i64, device: Device) -> tch::Result<Option<Tensor>> {
        let all = || Tensor::f_arange(length, (Kind::Int64, device));
        match self {
            Self::Same(place) if *place == length - 1 => Ok(None),
            Self::Same(place) => all()?.f_le(*place)?.f_view([1, 1, 1, length]).map(Some),
            Self::Each(places) => all()?.f_le_tensor(&places.f_view([-1, 1, 1, 1])?).map(Some),
        }
    }
}

/// Attention of one query a picture over all of its positions: how a tower pools.
pub(crate) struct AttentionPooling {
    query: Linear,
    key_value: Linear,
    output: Linear,
    heads: i64,
}

impl AttentionPooling {
    /// `projections` are query, key and value.
    pub fn new(projections: [Linear; 3], output: Linear, heads: i64) -> Result<Self, EmbedError> {
        let [query, key, value] = projections;
        Ok(Self {
            query,
            key_value: Linear::joined(&[key, value])
                .map_err(EmbedError::torch("loading weights"))?,
            output,
            heads,
        })
    }

    /// As PyTorch's own module stores it: `in_proj_weight`, `in_proj_bias`, `out_proj`.
    pub fn packed(scope: &Scope<'_>, width: i64, heads: i64) -> Result<Self, EmbedError> {
        check_heads(width, heads)?;
        let packed = Linear::query_key_value(scope, width)?;
        let part = |start, length| packed.rows(start, length);
        let split = || Ok((part(0, width)?, part(width, 2 * width)?));
        let (query, key_value) = split().map_err(EmbedError::torch("loading weights"))?;
        Ok(Self {
            query,
            key_value,
            output: Linear::new(&scope.at("out_proj"), width, width)?,
            heads,
        })
    }

    /// `query` is `[n, 1, width]`, `x` `[n, length, width]`; the answer `[n, output]`.
    pub fn forward(&self, query: &Tensor, x: &Tensor) -> tch::Result<Tensor> {
        let (n, length, width) = x.size3()?;
        let head = width / self.heads;
        let query = self
            .query
            .forward(query)?
            .f_view([n, 1, self.heads, head])?
            .f_transpose(1, 2)?;
        let key_value = self
            .key_value
            .forward(x)?
            .f_view([n, length, 2, self.heads, head])?
            .f_permute([2, 0, 3, 1, 4])?;
        let (key, value) = (key_value.f_select(0, 0)?, key_value.f_select(0, 1)?);
        let attended = attention(&query, &key, &value, None, false)?;
        self.output.forward(&attended.f_reshape([n, width])?)
    }
}

/// Checks what `new` of every transformer divides by.
pub(crate) fn check_heads(width: i64, heads: i64) -> Result<(), EmbedError> {
    if heads > 0 && width > 0 && width % heads == 0 {
        return Ok(());
    }
    Err(EmbedError::file(
        "config.json",
        format!("a width of {width} does not divide into {heads} attention heads"),
    ))
}

/// Rows of `table` by number, for indices of any shape.
pub(crate) fn embed(table: &Tensor, ids: &Tensor) -> tch::Result<Tensor> {
    debug_assert_eq!(ids.kind(), Kind::Int64);
    Tensor::f_embedding(table, ids, -1, false, false)
}
