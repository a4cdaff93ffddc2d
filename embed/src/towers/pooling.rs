//! Pooling of a transformer's output, one row per token, to one vector per text.

use serde::Deserialize;
use tch::{Kind, Tensor};

use super::token_batch::TokenBatch;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pooling {
    /// The mean over the text's tokens, without padding.
    #[default]
    Mean,
    /// The first token.
    Cls,
}

impl Pooling {
    /// `[n, length, width]` to `[n, width]`. `mask` is [`TokenBatch::mask`].
    pub fn forward(
        self,
        x: &Tensor,
        batch: &TokenBatch,
        mask: Option<&Tensor>,
    ) -> tch::Result<Tensor> {
        if self == Self::Cls {
            return x.f_select(1, 0);
        }
        // Summed in f32: half precision is too coarse for 512 tokens.
        let kind = x.f_kind()?;
        let x = x.f_to_kind(Kind::Float)?;
        let x = match mask {
            Some(mask) => x.f_mul(&mask.f_unsqueeze(2)?.f_to_kind(Kind::Float)?)?,
            None => x,
        };
        x.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?
            .f_div(&batch.lengths()?.f_unsqueeze(1)?)?
            .f_to_kind(kind)
    }
}
