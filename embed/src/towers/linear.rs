//! A linear layer. On the CPU its weights are packed where possible: a single text spends nine
//! tenths of its time reading weights, and for few rows MKL computes the product with an
//! `[output, input]` matrix as dot products (measured with `examples/side_by_side.rs`, results in
//! `docs/benchmarks.md`).

use tch::Tensor;

use super::packed_weights::PackedWeights;
use crate::EmbedError;
use crate::weights::Scope;

pub(crate) enum Linear {
    Packed(PackedWeights),
    Plain {
        /// `[output, input]`.
        weight: Tensor,
        /// `[output]`.
        bias: Option<Tensor>,
    },
}

impl Linear {
    /// Reads `weight`, `[output, input]`, and `bias`, `[output]`, of `scope`.
    pub fn new(scope: &Scope<'_>, input: i64, output: i64) -> Result<Self, EmbedError> {
        let weight = scope.get("weight", &[output, input])?;
        let bias = scope.get("bias", &[output])?;
        Self::from_tensors(&weight, Some(&bias)).map_err(EmbedError::torch("loading weights"))
    }

    /// Reads `weight`, `[output, input]`, of `scope`.
    pub fn without_bias(scope: &Scope<'_>, input: i64, output: i64) -> Result<Self, EmbedError> {
        let weight = scope.get("weight", &[output, input])?;
        Self::from_tensors(&weight, None).map_err(EmbedError::torch("loading weights"))
    }

    /// Reads the tensor `name`, `[input, output]`, which multiplies its input from the right.
    pub fn transposed(
        scope: &Scope<'_>,
        name: &str,
        input: i64,
        output: i64,
    ) -> Result<Self, EmbedError> {
        let weight = scope.get(name, &[input, output])?;
        weight
            .f_transpose(0, 1)
            .and_then(|weight| Self::from_tensors(&weight, None))
            .map_err(EmbedError::torch("loading weights"))
    }

    /// Reads the joint query, key and value projection of an attention: `in_proj_weight` and
    /// `in_proj_bias`.
    pub fn query_key_value(scope: &Scope<'_>, width: i64) -> Result<Self, EmbedError> {
        let weight = scope.get("in_proj_weight", &[3 * width, width])?;
        let bias = scope.get("in_proj_bias", &[3 * width])?;
        Self::from_tensors(&weight, Some(&bias)).map_err(EmbedError::torch("loading weights"))
    }

    /// `weight` is `[output, input]`.
    fn from_tensors(weight: &Tensor, bias: Option<&Tensor>) -> tch::Result<Self> {
        if let Some(packed) = PackedWeights::new(weight, bias)? {
            return Ok(Self::Packed(packed));
        }
        Ok(Self::Plain {
            weight: weight.f_contiguous()?,
            bias: bias.map(Tensor::f_contiguous).transpose()?,
        })
    }

    /// `[output, input]`.
    fn weight(&self) -> tch::Result<Tensor> {
        match self {
            Self::Packed(packed) => packed.unpack(),
            Self::Plain { weight, .. } => Ok(weight.shallow_clone()),
        }
    }

    fn bias(&self) -> Option<&Tensor> {
        match self {
            Self::Packed(packed) => packed.bias(),
            Self::Plain { bias, .. } => bias.as_ref(),
        }
    }

    /// The layer that computes only `length` outputs, from `start` on.
    pub fn outputs(&self, start: i64, length: i64) -> tch::Result<Self> {
        let part = |tensor: &Tensor| tensor.f_narrow(0, start, length);
        let bias = self.bias().map(part).transpose()?;
        Self::from_tensors(&part(&self.weight()?)?, bias.as_ref())
    }

    /// Joins several layers with the same input into one. Their outputs are concatenated.
    pub fn joined(layers: &[Self]) -> tch::Result<Self> {
        let weights = layers.iter().map(Self::weight);
        let weights = weights.collect::<tch::Result<Vec<_>>>()?;
        let biases: Vec<&Tensor> = layers.iter().filter_map(Self::bias).collect();
        Self::from_tensors(
            &Tensor::f_cat(&weights, 0)?,
            Some(&Tensor::f_cat(&biases, 0)?),
        )
    }

    /// `[…, input]` to `[…, output]`.
    pub fn forward(&self, x: &Tensor) -> tch::Result<Tensor> {
        match self {
            Self::Packed(packed) => packed.multiply(x),
            Self::Plain { weight, bias } => x.f_linear(weight, bias.as_ref()),
        }
    }
}
