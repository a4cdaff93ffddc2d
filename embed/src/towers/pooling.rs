//! How a transformer's rows, one a token, become one vector of the text.

use serde::Deserialize;
use tch::{Kind, Tensor};

use super::TokenBatch;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pooling {
    /// Over the text's own tokens, without the padding.
    #[default]
    Mean,
    /// The first token, which stands for the whole text.
    Cls,
}

impl Pooling {
    /// `[n, length, width]` to `[n, width]`; `mask` is the batch's own.
    pub fn forward(
        self,
        x: &Tensor,
        batch: &TokenBatch,
        mask: Option<&Tensor>,
    ) -> tch::Result<Tensor> {
        if self == Self::Cls {
            return x.f_select(1, 0);
        }
        // In f32: half precision cannot count to 512 tokens.
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
