//! EfficientNet-Lite (Tan and Le 2019; Liu 2020): inverted bottlenecks (Sandler et al. 2018)
//! without squeeze-and-excitation, with ReLU6, and with a stem and head that do not scale with the
//! width. Tensors have the names of PyPI's `efficientnet_lite_pytorch`.

use serde::Deserialize;
use tch::Tensor;

use super::convolution::{ConvNorm, Convolution, channels_last};
use super::tower::{ImageTower, YieldPoint};
use crate::EmbedError;
use crate::sources::CONFIG;
use crate::weights::Scope;

const STEM: i64 = 32;
const HEAD: i64 = 1280;
const STAGES: [Stage; 7] = [
    Stage::new(1, 3, 1, 1, 16),
    Stage::new(2, 3, 2, 6, 24),
    Stage::new(2, 5, 2, 6, 40),
    Stage::new(3, 3, 2, 6, 80),
    Stage::new(3, 5, 1, 6, 112),
    Stage::new(4, 5, 2, 6, 192),
    Stage::new(1, 3, 1, 6, 320),
];

/// A sequence of blocks of one kind. Only the first has the stride.
struct Stage {
    repeats: i64,
    kernel: i64,
    stride: i64,
    expansion: i64,
    channels: i64,
}

impl Stage {
    const fn new(repeats: i64, kernel: i64, stride: i64, expansion: i64, channels: i64) -> Self {
        Self {
            repeats,
            kernel,
            stride,
            expansion,
            channels,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct EfficientNetLiteConfig {
    width_coefficient: f64,
    depth_coefficient: f64,
    image_size: i64,
    #[serde(default = "default_eps")]
    batch_norm_eps: f64,
    /// The features, in order. If empty, the mean of the head.
    #[serde(default)]
    stages: Vec<Readout>,
}

/// The features that are read from one layer's output.
#[derive(Debug, Deserialize)]
struct Readout {
    tap: Tap,
    pooling: Vec<Pooling>,
}

impl Default for Readout {
    fn default() -> Self {
        Self {
            tap: Tap::Head,
            pooling: vec![Pooling::Mean],
        }
    }
}

/// Spatial pooling.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Pooling {
    Mean,
    Max,
}

fn default_eps() -> f64 {
    1e-3
}

/// A layer: `block:n-8`, counted from the last block, or `head`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum Tap {
    BlockFromEnd(usize),
    Head,
}

impl TryFrom<String> for Tap {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("block:n-").map(str::parse) {
            Some(Ok(back)) => Ok(Self::BlockFromEnd(back)),
            None if text == "head" => Ok(Self::Head),
            _ => Err(format!("'{text}' is not a tap: use block:n-NUMBER or head")),
        }
    }
}

pub(crate) struct EfficientNetLite {
    stem: ConvNorm,
    blocks: Vec<Block>,
    head: ConvNorm,
    readouts: Vec<Readout>,
    width: i64,
    image_size: i64,
}

impl EfficientNetLite {
    pub fn new(weights: &Scope<'_>, config: EfficientNetLiteConfig) -> Result<Self, EmbedError> {
        let eps = config.batch_norm_eps;
        let layer = |conv, norm, shape| ConvNorm::new(weights, conv, norm, shape, eps);
        let stem = layer("_conv_stem", "_bn0", Convolution::dense(3, STEM, 3, 2))?;
        let blocks = read_blocks(weights, &config)?;
        let last = blocks.last().map_or(STEM, |block| block.output);
        let head = layer("_conv_head", "_bn1", Convolution::dense(last, HEAD, 1, 1))?;
        let readouts = match config.stages.is_empty() {
            true => vec![Readout::default()],
            false => config.stages,
        };
        let widths = readouts.iter().map(|readout| readout.width(&blocks));
        let width = widths.sum::<Result<i64, EmbedError>>()?;
        Ok(Self {
            stem,
            blocks,
            head,
            readouts,
            width,
            image_size: config.image_size,
        })
    }
}

fn read_blocks(
    weights: &Scope<'_>,
    config: &EfficientNetLiteConfig,
) -> Result<Vec<Block>, EmbedError> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut input = STEM;
    for (number, stage) in STAGES.iter().enumerate() {
        // The first and the last stage have one block at any depth.
        let is_scaled = number > 0 && number + 1 < STAGES.len();
        let repeats = match is_scaled {
            true => (config.depth_coefficient * stage.repeats as f64).ceil() as i64,
            false => stage.repeats,
        };
        let output = scaled_channels(stage.channels, config.width_coefficient);
        for repeat in 0..repeats {
            let stride = if repeat == 0 { stage.stride } else { 1 };
            let scope = weights.at("_blocks").at(blocks.len());
            let eps = config.batch_norm_eps;
            blocks.push(Block::new(&scope, stage, stride, input, output, eps)?);
            input = output;
        }
    }
    Ok(blocks)
}

impl Readout {
    /// The number of features.
    fn width(&self, blocks: &[Block]) -> Result<i64, EmbedError> {
        let channels = match self.tap {
            Tap::Head => HEAD,
            Tap::BlockFromEnd(back) => {
                let block = blocks.len().checked_sub(back);
                let block = block.and_then(|number| blocks.get(number));
                block.map(|block| block.output).ok_or_else(|| {
                    let count = blocks.len();
                    let reason = format!("the tap block:n-{back} is outside of the {count} blocks");
                    EmbedError::file(CONFIG, reason)
                })?
            }
        };
        Ok(channels * self.pooling.len() as i64)
    }
}

impl ImageTower for EfficientNetLite {
    fn forward(&self, pixels: &Tensor, yield_point: YieldPoint<'_>) -> tch::Result<Tensor> {
        let count = self.blocks.len();
        let mut x = self
            .stem
            .forward(&channels_last(pixels)?)?
            .f_clamp_(0.0, 6.0)?;
        let mut read: Vec<Vec<Tensor>> = self.readouts.iter().map(|_| Vec::new()).collect();
        let mut record = |tap: Tap, x: &Tensor| -> tch::Result<()> {
            for (readout, features) in self.readouts.iter().zip(&mut read) {
                if readout.tap == tap {
                    let pooled = readout.pooling.iter().map(|pooling| pooling.over_space(x));
                    *features = pooled.collect::<tch::Result<_>>()?;
                }
            }
            Ok(())
        };
        for (number, block) in self.blocks.iter().enumerate() {
            yield_point();
            x = block.forward(&x)?;
            record(Tap::BlockFromEnd(count - number), &x)?;
        }
        yield_point();
        record(Tap::Head, &self.head.forward(&x)?.f_clamp_(0.0, 6.0)?)?;
        Tensor::f_cat(&read.iter().flatten().collect::<Vec<_>>(), 1)
    }

    fn width(&self) -> i64 {
        self.width
    }

    fn image_size(&self) -> usize {
        usize::try_from(self.image_size).unwrap_or(0)
    }
}

impl Pooling {
    /// `[n, c, h, w]` to `[n, c]`.
    fn over_space(self, x: &Tensor) -> tch::Result<Tensor> {
        let space = [2i64, 3];
        match self {
            Self::Mean => x.f_mean_dim(space.as_slice(), false, None),
            Self::Max => x.f_amax(space.as_slice(), false),
        }
    }
}

/// Scales channels by `width` and rounds to a multiple of 8, but not down by more than 10%.
fn scaled_channels(channels: i64, width: f64) -> i64 {
    let wanted = channels as f64 * width;
    let rounded = (((wanted + 4.0) as i64) / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * wanted {
        rounded + 8
    } else {
        rounded
    }
}

/// An inverted bottleneck: expansion, depthwise convolution, projection.
struct Block {
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    project: ConvNorm,
    skip: bool,
    output: i64,
}

impl Block {
    fn new(
        weights: &Scope<'_>,
        stage: &Stage,
        stride: i64,
        input: i64,
        output: i64,
        eps: f64,
    ) -> Result<Self, EmbedError> {
        let inner = input * stage.expansion;
        let layer = |conv, norm, shape| ConvNorm::new(weights, conv, norm, shape, eps);
        let expand = (stage.expansion != 1)
            .then(|| {
                layer(
                    "_expand_conv",
                    "_bn0",
                    Convolution::dense(input, inner, 1, 1),
                )
            })
            .transpose()?;
        Ok(Self {
            expand,
            depthwise: layer(
                "_depthwise_conv",
                "_bn1",
                Convolution::depthwise(inner, stage.kernel, stride),
            )?,
            project: layer(
                "_project_conv",
                "_bn2",
                Convolution::dense(inner, output, 1, 1),
            )?,
            skip: stride == 1 && input == output,
            output,
        })
    }

    fn forward(&self, input: &Tensor) -> tch::Result<Tensor> {
        let expanded = self
            .expand
            .as_ref()
            .map(|expand| expand.forward(input)?.f_clamp_(0.0, 6.0))
            .transpose()?;
        let x = self
            .depthwise
            .forward(expanded.as_ref().unwrap_or(input))?
            .f_clamp_(0.0, 6.0)?;
        let mut x = self.project.forward(&x)?;
        if self.skip { x.f_add_(input) } else { Ok(x) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_lite2() {
        let scaled = STAGES.map(|stage| scaled_channels(stage.channels, 1.1));
        assert_eq!(scaled, [16, 24, 48, 88, 120, 208, 352]);
    }

    #[test]
    fn taps_are_parsed_or_rejected() {
        assert_eq!(
            Tap::try_from("block:n-8".to_owned()),
            Ok(Tap::BlockFromEnd(8))
        );
        assert_eq!(Tap::try_from("head".to_owned()), Ok(Tap::Head));
        for text in ["block:8", "block:n-", "tail"] {
            assert!(Tap::try_from(text.to_owned()).is_err());
        }
    }
}
