//! A linear layer. On the CPU its weights lie as panels where they can: one text spends nine
//! tenths of its time reading them, and MKL reads a `[output, input]` matrix for few rows as
//! dot products (`tests/README.md` has both, measured by `examples/side_by_side.rs`).

use tch::Tensor;

use super::panels::Panels;
use crate::EmbedError;
use crate::weights::Scope;

pub(crate) enum Linear {
    Panels(Panels),
    Whole {
        /// `[output, input]`.
        weight: Tensor,
        /// `[output]`.
        bias: Option<Tensor>,
    },
}

impl Linear {
    /// `weight` `[output, input]` and `bias` `[output]` of `scope`.
    pub fn new(scope: &Scope<'_>, input: i64, output: i64) -> Result<Self, EmbedError> {
        let weight = scope.get("weight", &[output, input])?;
        let bias = scope.get("bias", &[output])?;
        Self::of(&weight, Some(&bias)).map_err(EmbedError::torch("loading weights"))
    }

    pub fn without_bias(scope: &Scope<'_>, input: i64, output: i64) -> Result<Self, EmbedError> {
        let weight = scope.get("weight", &[output, input])?;
        Self::of(&weight, None).map_err(EmbedError::torch("loading weights"))
    }

    /// A matrix `name` `[input, output]` that stands on the right of its input.
    pub fn right(
        scope: &Scope<'_>,
        name: &str,
        input: i64,
        output: i64,
    ) -> Result<Self, EmbedError> {
        let weight = scope.get(name, &[input, output])?;
        weight
            .f_transpose(0, 1)
            .and_then(|weight| Self::of(&weight, None))
            .map_err(EmbedError::torch("loading weights"))
    }

    /// Query, key and value of an attention in one: `in_proj_weight` and `in_proj_bias`.
    pub fn query_key_value(scope: &Scope<'_>, width: i64) -> Result<Self, EmbedError> {
        let weight = scope.get("in_proj_weight", &[3 * width, width])?;
        let bias = scope.get("in_proj_bias", &[3 * width])?;
        Self::of(&weight, Some(&bias)).map_err(EmbedError::torch("loading weights"))
    }

    /// `weight` is `[output, input]`.
    fn of(weight: &Tensor, bias: Option<&Tensor>) -> tch::Result<Self> {
        if let Some(panels) = Panels::of(weight, bias)? {
            return Ok(Self::Panels(panels));
        }
        Ok(Self::Whole {
            weight: weight.f_contiguous()?,
            bias: bias.map(Tensor::f_contiguous).transpose()?,
        })
    }

    /// `[output, input]`.
    fn weight(&self) -> tch::Result<Tensor> {
        match self {
            Self::Panels(panels) => panels.whole(),
            Self::Whole { weight, .. } => Ok(weight.shallow_clone()),
        }
    }

    fn bias(&self) -> Option<&Tensor> {
        match self {
            Self::Panels(panels) => panels.bias(),
            Self::Whole { bias, .. } => bias.as_ref(),
        }
    }

    /// The layer that gives `length` of the outputs, from `start` on.
    pub fn rows(&self, start: i64, length: i64) -> tch::Result<Self> {
        let part = |tensor: &Tensor| tensor.f_narrow(0, start, length);
        let bias = self.bias().map(part).transpose()?;
        Self::of(&part(&self.weight()?)?, bias.as_ref())
    }

    /// Several layers over one input as a single product, outputs side by side.
    pub fn joined(layers: &[Self]) -> tch::Result<Self> {
        let weights = layers.iter().map(Self::weight);
        let weights = weights.collect::<tch::Result<Vec<_>>>()?;
        let biases: Vec<&Tensor> = layers.iter().filter_map(Self::bias).collect();
        Self::of(
            &Tensor::f_cat(&weights, 0)?,
            Some(&Tensor::f_cat(&biases, 0)?),
        )
    }

    /// `[…, input]` to `[…, output]`.
    pub fn forward(&self, x: &Tensor) -> tch::Result<Tensor> {
        match self {
            Self::Panels(panels) => panels.multiply(x),
            Self::Whole { weight, bias } => x.f_linear(weight, bias.as_ref()),
        }
    }
}
