//! A linear layer, on the CPU with its weights as panels.
//!
//! LibTorch multiplies by a `[output, input]` matrix with MKL, which for the few rows of a
//! text reads it as dot products, and for a picture's fifty rows not much better. The same
//! matrix as four `[input, output / 4]` panels, one product of a batch each, takes 0.5 to 1
//! of the time, at 8 rows as at 1,200, and no more memory. (`examples/side_by_side.rs`; on
//! two cores. Four panels are what few threads share: more threads get the matrix whole.)

use tch::{Device, Kind, Tensor};

use crate::EmbedError;
use crate::weights::Scope;

const PANELS: i64 = 4;

pub(crate) struct Linear {
    weight: Weight,
    /// `[output]`, beside panels `[PANELS, 1, output / PANELS]`.
    bias: Option<Tensor>,
}

enum Weight {
    /// `[output, input]`.
    Whole(Tensor),
    /// `[PANELS, input, output / PANELS]`.
    Panels(Tensor),
}

impl Linear {
    /// `weight` `[output, input]` and `bias` `[output]` of `scope`.
    pub fn new(scope: &Scope<'_>, input: i64, output: i64) -> Result<Self, EmbedError> {
        let weight = scope.get("weight", &[output, input])?;
        let bias = scope.get("bias", &[output])?;
        Self::of(&weight, Some(bias)).map_err(EmbedError::torch("loading weights"))
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
        Self::of(&weight, Some(bias)).map_err(EmbedError::torch("loading weights"))
    }

    /// `weight` is `[output, input]`.
    fn of(weight: &Tensor, bias: Option<Tensor>) -> tch::Result<Self> {
        let (output, input) = weight.size2()?;
        let panels = weight.device() == Device::Cpu
            && weight.f_kind()? == Kind::Float
            && output % PANELS == 0
            && i64::from(tch::get_num_threads()) <= PANELS;
        if !panels {
            return Ok(Self {
                weight: Weight::Whole(weight.f_contiguous()?),
                bias,
            });
        }
        let each = output / PANELS;
        let weight = weight
            .f_reshape([PANELS, each, input])?
            .f_transpose(1, 2)?
            .f_contiguous()?;
        Ok(Self {
            weight: Weight::Panels(weight),
            bias: bias
                .map(|bias| bias.f_reshape([PANELS, 1, each]))
                .transpose()?,
        })
    }

    /// `[output, input]` and `[output]` again.
    fn whole(&self) -> tch::Result<(Tensor, Option<Tensor>)> {
        let weight = match &self.weight {
            Weight::Whole(weight) => weight.shallow_clone(),
            Weight::Panels(panels) => {
                let (_, input, _) = panels.size3()?;
                panels.f_transpose(1, 2)?.f_reshape([-1, input])?
            }
        };
        let bias = self.bias.as_ref().map(|bias| bias.f_reshape([-1]));
        Ok((weight, bias.transpose()?))
    }

    /// The layer that gives `length` of the outputs, from `start` on.
    pub fn rows(&self, start: i64, length: i64) -> tch::Result<Self> {
        let (weight, bias) = self.whole()?;
        let bias = bias.map(|bias| bias.f_narrow(0, start, length)?.f_contiguous());
        Self::of(&weight.f_narrow(0, start, length)?, bias.transpose()?)
    }

    /// Several layers over one input as a single product, outputs side by side.
    pub fn joined(layers: &[Self]) -> tch::Result<Self> {
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for layer in layers {
            let (weight, bias) = layer.whole()?;
            weights.push(weight);
            biases.extend(bias);
        }
        Self::of(
            &Tensor::f_cat(&weights, 0)?,
            Some(Tensor::f_cat(&biases, 0)?),
        )
    }

    /// `[…, input]` to `[…, output]`.
    pub fn forward(&self, x: &Tensor) -> tch::Result<Tensor> {
        let panels = match &self.weight {
            Weight::Whole(weight) => return x.f_linear(weight, self.bias.as_ref()),
            Weight::Panels(panels) => panels,
        };
        let (_, input, each) = panels.size3()?;
        let rows = x
            .f_reshape([1, -1, input])?
            .f_expand([PANELS, -1, input], false)?;
        let product = match &self.bias {
            Some(bias) => bias.f_baddbmm(&rows, panels, 1, 1)?,
            None => rows.f_bmm(panels)?,
        };
        let mut shape = x.size();
        shape.pop();
        shape.push(PANELS * each);
        product.f_transpose(0, 1)?.f_reshape(shape)
    }
}
