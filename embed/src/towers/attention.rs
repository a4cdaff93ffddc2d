//! Multi-head attention (Vaswani et al. 2017), on LibTorch's fused kernel.

use tch::{Device, Kind, Tensor};

use super::linear::Linear;
use crate::EmbedError;
use crate::sources::CONFIG;
use crate::threads;
use crate::weights::Scope;

/// The positions that a position attends to.
pub(super) enum AttentionMask<'a> {
    /// All.
    All,
    /// Itself and the earlier ones.
    Causal,
    /// Those with true in this mask, `[n, 1, 1, length]`.
    Keys(&'a Tensor),
}

/// Multi-head self-attention.
pub(super) struct SelfAttention {
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

    /// Reads the tensors of PyTorch's own module: `in_proj_weight`, `in_proj_bias`, `out_proj`.
    pub fn packed(scope: &Scope<'_>, width: i64, heads: i64) -> Result<Self, EmbedError> {
        Ok(Self {
            query_key_value: Linear::query_key_value(scope, width)?,
            output: Linear::new(&scope.at("out_proj"), width, width)?,
            heads,
        })
    }

    /// `[n, length, width]` to the same shape.
    pub fn forward(&self, x: &Tensor, mask: &AttentionMask<'_>) -> tch::Result<Tensor> {
        let all = self.query_key_value.forward(x)?;
        let query = all.f_narrow(2, 0, x.size3()?.2)?;
        self.attend(&query, &all, mask)
    }

    /// The output at one position of each row: `[n, 1, width]`.
    pub fn forward_at(
        &self,
        x: &Tensor,
        mask: &AttentionMask<'_>,
        position: &Position,
    ) -> tch::Result<Tensor> {
        let (_, length, width) = x.size3()?;
        let earlier = match mask {
            AttentionMask::Causal => position.causal_mask(length, x.device())?,
            AttentionMask::All | AttentionMask::Keys(_) => None,
        };
        let mask = match (mask, &earlier) {
            (AttentionMask::Keys(keys), _) => AttentionMask::Keys(keys),
            (_, Some(earlier)) => AttentionMask::Keys(earlier),
            (_, None) => AttentionMask::All,
        };
        let all = self.query_key_value.forward(x)?;
        let query = position.select(&all.f_narrow(2, 0, width)?)?;
        self.attend(&query, &all, &mask)
    }

    /// `query` is `[n, queries, width]`; `all` is `[n, length, 3 · width]`: queries, keys, values.
    fn attend(
        &self,
        query: &Tensor,
        all: &Tensor,
        mask: &AttentionMask<'_>,
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
        )?;
        let joined = attended.f_transpose(1, 2)?.f_reshape([n, queries, width])?;
        self.output.forward(&joined)
    }
}

/// `query` is `[n, heads, queries, head]`; `key` and `value` are `[n, heads, length, head]`. The
/// output has the shape of `query`.
fn attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    mask: &AttentionMask<'_>,
) -> tch::Result<Tensor> {
    let (keys, causal) = match mask {
        AttentionMask::All => (None, false),
        AttentionMask::Causal => (None, true),
        AttentionMask::Keys(keys) => (Some(*keys), false),
    };
    let operations = 4 * query.numel() as i64 * key.size4()?.2;
    threads::with_threads_for(operations, || {
        Tensor::f_scaled_dot_product_attention(query, key, value, keys, 0.0, causal, None, false)
    })
}

/// The position of each row that a tower reads its features from. The last layer computes no other
/// position.
pub(super) enum Position {
    /// The same in every row.
    Same(i64),
    /// One per row, `[n]`.
    Each(Tensor),
}

impl Position {
    /// One position per row.
    pub fn new(positions: &[i64], device: Device) -> tch::Result<Self> {
        match positions {
            [first, others @ ..] if others.iter().all(|position| position == first) => {
                Ok(Self::Same(*first))
            }
            _ => Tensor::f_from_slice(positions)?
                .f_to_device(device)
                .map(Self::Each),
        }
    }

    /// `[n, length, width]` to `[n, 1, width]`.
    pub fn select(&self, x: &Tensor) -> tch::Result<Tensor> {
        let (n, _, width) = x.size3()?;
        match self {
            Self::Same(position) => x.f_narrow(1, *position, 1),
            Self::Each(positions) => {
                let index = positions
                    .f_view([n, 1, 1])?
                    .f_expand([n, 1, width], false)?;
                x.f_gather(1, &index, false)
            }
        }
    }

    /// `[n, 1, 1, length]`, true up to the position; `None` if that is true everywhere.
    fn causal_mask(&self, length: i64, device: Device) -> tch::Result<Option<Tensor>> {
        let all = || Tensor::f_arange(length, (Kind::Int64, device));
        match self {
            Self::Same(position) if *position == length - 1 => Ok(None),
            Self::Same(position) => all()?.f_le(*position)?.f_view([1, 1, 1, length]).map(Some),
            Self::Each(positions) => {
                let last = positions.f_view([-1, 1, 1, 1])?;
                all()?.f_le_tensor(&last).map(Some)
            }
        }
    }
}

/// Pools all positions of an image with one attention query.
pub(super) struct AttentionPooling {
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

    /// Reads the tensors of PyTorch's own module: `in_proj_weight`, `in_proj_bias`, `out_proj`.
    pub fn packed(scope: &Scope<'_>, width: i64, heads: i64) -> Result<Self, EmbedError> {
        check_heads(width, heads)?;
        let packed = Linear::query_key_value(scope, width)?;
        let part = |start, length| packed.outputs(start, length);
        let split = || Ok((part(0, width)?, part(width, 2 * width)?));
        let (query, key_value) = split().map_err(EmbedError::torch("loading weights"))?;
        Ok(Self {
            query,
            key_value,
            output: Linear::new(&scope.at("out_proj"), width, width)?,
            heads,
        })
    }

    /// `query` is `[n, 1, width]` and `x` is `[n, length, width]`; the output is `[n, output]`.
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
        let attended = attention(&query, &key, &value, &AttentionMask::All)?;
        self.output.forward(&attended.f_reshape([n, width])?)
    }
}

/// Checks that the width of a transformer is a multiple of its number of heads.
pub(super) fn check_heads(width: i64, heads: i64) -> Result<(), EmbedError> {
    if heads > 0 && width > 0 && width % heads == 0 {
        return Ok(());
    }
    Err(EmbedError::file(
        CONFIG,
        format!("a width of {width} cannot be divided into {heads} attention heads"),
    ))
}
