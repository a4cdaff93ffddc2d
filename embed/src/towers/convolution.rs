//! Layers that the convolutional networks share.

use tch::{Device, Kind, Tensor};

use crate::weights::Scope;
use crate::{EmbedError, instructions};

/// Changes the memory layout to channels-last on a CPU, where convolutions take a fifth to a third
/// less time with it. Convolutions preserve the layout.
pub(crate) fn channels_last(x: &Tensor) -> tch::Result<Tensor> {
    if x.device() != Device::Cpu {
        return Ok(x.shallow_clone());
    }
    x.f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])
}

/// The shape of one convolution.
pub(crate) struct Convolution {
    input: i64,
    output: i64,
    kernel: i64,
    stride: i64,
    groups: i64,
    padding: Padding,
}

/// Zero padding around the image.
enum Padding {
    /// TensorFlow's SAME: `ceil(side / stride)` outputs, an odd pixel at the end.
    Same,
    /// This many pixels on every side, as in PyTorch.
    Around(i64),
}

impl Convolution {
    /// With TensorFlow's padding.
    pub fn dense(input: i64, output: i64, kernel: i64, stride: i64) -> Self {
        Self {
            input,
            output,
            kernel,
            stride,
            groups: 1,
            padding: Padding::Same,
        }
    }

    /// Each channel is convolved separately.
    pub fn depthwise(channels: i64, kernel: i64, stride: i64) -> Self {
        Self {
            groups: channels,
            ..Self::dense(channels, channels, kernel, stride)
        }
    }

    /// With padding of half the kernel on every side.
    pub fn centred(input: i64, output: i64, kernel: i64, stride: i64) -> Self {
        Self {
            padding: Padding::Around(kernel / 2),
            ..Self::dense(input, output, kernel, stride)
        }
    }
}

/// Whether LibTorch would use its own f16 convolution for `x`, as it does on a CPU without f16
/// instructions. That one accumulates in f16, which loses a digit in sums of thousands of
/// products, and is several times slower than f32.
fn is_f16_without_instructions(x: &Tensor) -> bool {
    x.device() == Device::Cpu && x.kind() == Kind::Half && !instructions::has_f16()
}

/// A convolution with the following batch norm folded into its weights.
pub(crate) struct ConvNorm {
    weight: Tensor,
    bias: Tensor,
    shape: Convolution,
}

impl ConvNorm {
    pub fn new(
        weights: &Scope<'_>,
        conv: &str,
        norm: &str,
        shape: Convolution,
        eps: f64,
    ) -> Result<Self, EmbedError> {
        let Convolution {
            input,
            output,
            kernel,
            groups,
            ..
        } = shape;
        // Folded in f32 in every precision, because variances are small.
        let weight = weights
            .at(conv)
            .get_f32("weight", &[output, input / groups, kernel, kernel])?;
        let norm = weights.at(norm);
        let gamma = norm.get_f32("weight", &[output])?;
        let beta = norm.get_f32("bias", &[output])?;
        let mean = norm.get_f32("running_mean", &[output])?;
        let variance = norm.get_f32("running_var", &[output])?;
        let folded = || -> tch::Result<(Tensor, Tensor)> {
            let scale = gamma.f_mul(&variance.f_add_scalar(eps)?.f_rsqrt()?)?;
            let weight = weight.f_mul(&scale.f_view([output, 1, 1, 1])?)?;
            let bias = beta.f_sub(&mean.f_mul(&scale)?)?;
            Ok((
                weight.f_to_kind(weights.kind())?,
                bias.f_to_kind(weights.kind())?,
            ))
        };
        let (weight, bias) = folded().map_err(EmbedError::torch("loading weights"))?;
        Ok(Self {
            weight,
            bias,
            shape,
        })
    }

    pub fn forward(&self, x: &Tensor) -> tch::Result<Tensor> {
        if is_f16_without_instructions(x) {
            return self
                .convolve(
                    &x.f_to_kind(Kind::Float)?,
                    &self.weight.f_to_kind(Kind::Float)?,
                    &self.bias.f_to_kind(Kind::Float)?,
                )?
                .f_to_kind(Kind::Half);
        }
        self.convolve(x, &self.weight, &self.bias)
    }

    fn convolve(&self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> tch::Result<Tensor> {
        let (_, _, height, width) = x.size4()?;
        let (top, bottom) = self.padding(height);
        let (left, right) = self.padding(width);
        let Convolution { stride, groups, .. } = self.shape;
        let bias = Some(bias);
        if top == bottom && left == right {
            return x.f_conv2d(weight, bias, stride, [top, left], 1, groups);
        }
        x.f_constant_pad_nd([left, right, top, bottom].as_slice())?
            .f_conv2d(weight, bias, stride, 0, 1, groups)
    }

    /// The padding before and after a side of `side` pixels.
    fn padding(&self, side: i64) -> (i64, i64) {
        let Convolution { kernel, stride, .. } = self.shape;
        match self.shape.padding {
            Padding::Around(pixels) => (pixels, pixels),
            Padding::Same => {
                let outputs = (side + stride - 1) / stride;
                let total = ((outputs - 1) * stride + kernel - side).max(0);
                (total / 2, total - total / 2)
            }
        }
    }
}
