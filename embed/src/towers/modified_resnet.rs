//! CLIP's residual network (Radford et al. 2021, section 2.4): He et al.'s ResNet with a stem of
//! three convolutions, with average pooling instead of strided convolutions (Zhang 2019), and with
//! attention pooling at the end.

use tch::Tensor;

use super::attention::{AttentionPooling, check_heads};
use super::convolution::{ConvNorm, Convolution, channels_last};
use super::linear::Linear;
use super::tower::{ImageTower, YieldPoint};
use crate::EmbedError;
use crate::weights::Scope;

/// Output channels of a block per internal channel.
const EXPANSION: i64 = 4;
/// The factor by which both sides shrink from the image to the last layer.
const SHRINKS: i64 = 32;
const EPS: f64 = 1e-5;

pub(crate) struct ModifiedResNetConfig {
    pub image_size: i64,
    /// Blocks in each of the four stages.
    pub layers: [i64; 4],
    /// Output channels of the stem.
    pub width: i64,
    pub heads: i64,
    /// Output features of the attention pooling.
    pub output: i64,
}

pub(crate) struct ModifiedResNet {
    stem: [ConvNorm; 3],
    blocks: Vec<Bottleneck>,
    positional_embedding: Tensor,
    pooling: AttentionPooling,
    output: i64,
    image_size: i64,
}

impl ModifiedResNet {
    pub fn new(weights: &Scope<'_>, config: &ModifiedResNetConfig) -> Result<Self, EmbedError> {
        let width = config.width;
        let features = SHRINKS * width;
        check_heads(features, config.heads)?;
        let layer = |conv, norm, input, output, stride| {
            let shape = Convolution::centred(input, output, 3, stride);
            ConvNorm::new(weights, conv, norm, shape, EPS)
        };
        let stem = [
            layer("conv1", "bn1", 3, width / 2, 2)?,
            layer("conv2", "bn2", width / 2, width / 2, 1)?,
            layer("conv3", "bn3", width / 2, width, 1)?,
        ];
        let mut blocks = Vec::new();
        let mut input = width;
        for (stage, count) in config.layers.into_iter().enumerate() {
            let planes = width << stage;
            let weights = weights.at(format!("layer{}", stage + 1));
            for number in 0..count {
                let stride = if stage > 0 && number == 0 { 2 } else { 1 };
                blocks.push(Bottleneck::new(&weights.at(number), input, planes, stride)?);
                input = EXPANSION * planes;
            }
        }
        let pool = weights.at("attnpool");
        let side = config.image_size / SHRINKS;
        let projection = |name| Linear::new(&pool.at(name), features, features);
        Ok(Self {
            stem,
            blocks,
            positional_embedding: pool.get("positional_embedding", &[side * side + 1, features])?,
            pooling: AttentionPooling::new(
                [
                    projection("q_proj")?,
                    projection("k_proj")?,
                    projection("v_proj")?,
                ],
                Linear::new(&pool.at("c_proj"), features, config.output)?,
                config.heads,
            )?,
            output: config.output,
            image_size: config.image_size,
        })
    }
}

impl ImageTower for ModifiedResNet {
    fn forward(&self, pixels: &Tensor, yield_point: YieldPoint<'_>) -> tch::Result<Tensor> {
        let mut x = channels_last(pixels)?;
        for layer in &self.stem {
            x = layer.forward(&x)?.f_relu_()?;
        }
        x = average(&x, 2)?;
        for block in &self.blocks {
            yield_point();
            x = block.forward(&x)?;
        }
        // The query is the mean of all positions; the keys are that mean and all positions.
        let x = x.f_flatten(2, 3)?.f_transpose(1, 2)?;
        let mean = x.f_mean_dim([1i64].as_slice(), true, None)?;
        let x = Tensor::f_cat(&[mean, x], 1)?.f_add(&self.positional_embedding)?;
        self.pooling.forward(&x.f_narrow(1, 0, 1)?, &x)
    }

    fn width(&self) -> i64 {
        self.output
    }

    fn image_size(&self) -> usize {
        usize::try_from(self.image_size).unwrap_or(0)
    }
}

struct Bottleneck {
    reduce: ConvNorm,
    convolve: ConvNorm,
    expand: ConvNorm,
    stride: i64,
    /// Adapts the input to the shape of the output, if they differ.
    shortcut: Option<ConvNorm>,
}

impl Bottleneck {
    fn new(weights: &Scope<'_>, input: i64, planes: i64, stride: i64) -> Result<Self, EmbedError> {
        let output = EXPANSION * planes;
        let layer = |conv, norm, input, output, kernel| {
            let shape = Convolution::centred(input, output, kernel, 1);
            ConvNorm::new(weights, conv, norm, shape, EPS)
        };
        let reshaped = stride > 1 || input != output;
        Ok(Self {
            reduce: layer("conv1", "bn1", input, planes, 1)?,
            convolve: layer("conv2", "bn2", planes, planes, 3)?,
            expand: layer("conv3", "bn3", planes, output, 1)?,
            stride,
            shortcut: reshaped
                .then(|| layer("downsample.0", "downsample.1", input, output, 1))
                .transpose()?,
        })
    }

    fn forward(&self, input: &Tensor) -> tch::Result<Tensor> {
        let x = self.reduce.forward(input)?.f_relu_()?;
        let x = self.convolve.forward(&x)?.f_relu_()?;
        let mut x = self.expand.forward(&average(&x, self.stride)?)?;
        let shortcut = self
            .shortcut
            .as_ref()
            .map(|shortcut| shortcut.forward(&average(input, self.stride)?))
            .transpose()?;
        x.f_add_(shortcut.as_ref().unwrap_or(input))?.f_relu_()
    }
}

/// Average pooling over squares of `side` × `side` positions.
fn average(x: &Tensor, side: i64) -> tch::Result<Tensor> {
    if side == 1 {
        return Ok(x.shallow_clone());
    }
    let sides = [side, side];
    x.f_avg_pool2d(sides, sides, [0, 0], false, true, None)
}
