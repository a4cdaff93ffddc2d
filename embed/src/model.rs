//! A loaded model: its towers and their projections into the shared space.

use tch::{Device, Kind, Tensor};

use crate::image::Pixels;
use crate::towers::{ImageTower, Projection, TextTower, TokenBatch, YieldPoint};
use crate::{EmbedError, TextTokens};

/// A tower and the projection of its features into the shared space.
pub(crate) struct Branch<T: ?Sized> {
    pub tower: Box<T>,
    pub projection: Projection,
}

/// A loaded model.
pub(crate) struct Model {
    pub model_type: String,
    pub license: Option<String>,
    /// Dimensions of an embedding.
    pub dim: i64,
    pub scale: Scale,
    /// The number of weights.
    pub parameters: u64,
    /// SHA-256 in hexadecimal; see [`ModelCard`](crate::ModelCard).
    pub fingerprint: String,
    pub text: Branch<dyn TextTower>,
    /// `None` for a text-only model.
    pub image: Option<Branch<dyn ImageTower>>,
    pub device: Device,
    /// The type of weights and activations.
    pub kind: Kind,
}

/// The factor and offset that turn a cosine into a logit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    pub factor: f64,
    /// Added to the product by a model with sigmoid logits.
    pub bias: Option<f64>,
    /// The model's files do not contain the factor: it is the usual one for its kind of model.
    pub assumed: bool,
}

impl Scale {
    pub const fn learned(factor: f64) -> Self {
        Self {
            factor,
            bias: None,
            assumed: false,
        }
    }

    pub const fn assumed(factor: f64) -> Self {
        Self {
            factor,
            bias: None,
            assumed: true,
        }
    }
}

impl Branch<dyn TextTower> {
    pub fn text(tower: impl TextTower + 'static, projection: Projection) -> Self {
        Self {
            tower: Box::new(tower),
            projection,
        }
    }
}

impl Branch<dyn ImageTower> {
    pub fn image(tower: impl ImageTower + 'static, projection: Projection) -> Self {
        Self {
            tower: Box::new(tower),
            projection,
        }
    }
}

impl Model {
    /// The most tokens that the text tower reads, including special ones.
    pub fn context_length(&self) -> usize {
        self.text.tower.context_length()
    }

    /// The side of the images that the image tower reads, in pixels.
    pub fn image_size(&self) -> Option<usize> {
        self.image.as_ref().map(|image| image.tower.image_size())
    }

    /// Embeds texts, one vector per text, not normalised.
    pub fn texts(
        &self,
        texts: &[&TextTokens],
        yield_point: YieldPoint<'_>,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        let run = || {
            let batch = TokenBatch::of(texts, self.device)?;
            let features = self.text.tower.forward(&batch, yield_point)?;
            vectors(&self.text.projection.forward(&features)?)
        };
        tch::no_grad(run).map_err(EmbedError::torch("embedding texts"))
    }

    /// Embeds images, one vector per image, not normalised.
    pub fn images(
        &self,
        images: &[&Pixels],
        yield_point: YieldPoint<'_>,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        let image = self.image.as_ref().ok_or(EmbedError::NoImageTower)?;
        let run = || {
            let pixels = stack(images, self.device)?.f_to_kind(self.kind)?;
            let features = image.tower.forward(&pixels, yield_point)?;
            vectors(&image.projection.forward(&features)?)
        };
        tch::no_grad(run).map_err(EmbedError::torch("embedding images"))
    }

    /// Runs both towers once on blank inputs. An operation that fails on this device or in this
    /// precision fails here, and the first request is as fast as later ones.
    pub fn warm_up(&self) -> Result<(), EmbedError> {
        if let Some(side) = self.image_size() {
            let blank = Pixels::blank(side as u32);
            self.images(&[&blank], &|| ())?;
        }
        let [short, longer] = [2, 3].map(TextTokens::blank);
        self.texts(&[&short, &longer], &|| ())?;
        Ok(())
    }
}

/// Normalises images of the same size and preprocessing and stacks them: `[n, 3, height, width]`.
fn stack(images: &[&Pixels], device: Device) -> tch::Result<Tensor> {
    if device != Device::Cpu {
        return stack_on_device(images, device);
    }
    let length = images.iter().map(|image| image.bytes().len()).sum();
    let mut values = Vec::with_capacity(length);
    for image in images {
        image.normalise_into(&mut values);
    }
    let (height, width) = size_of(images);
    Tensor::f_from_slice(&values)?.f_view([-1, 3, height, width])
}

/// As [`stack`], with the normalisation on `device`: the transfer is a quarter of the size, and so
/// is the device thread's copying.
fn stack_on_device(images: &[&Pixels], device: Device) -> tch::Result<Tensor> {
    let bytes: Vec<&[u8]> = images.iter().map(|image| image.bytes()).collect();
    let levels = images
        .first()
        .map_or(&[[0.0; 256]; 3], |first| first.levels());
    let levels = Tensor::f_from_slice(levels.as_flattened())?.f_to_device(device)?;
    // The start of each channel's table.
    let tables = Tensor::f_from_slice(&[0_i64, 256, 512])?.f_view([1, 3, 1, 1])?;
    let (height, width) = size_of(images);
    let indices = Tensor::f_from_slice(&bytes.concat())?
        .f_to_device(device)?
        .f_view([-1, height, width, 3])?
        .f_permute([0, 3, 1, 2])?
        // Made contiguous before the conversion to i64 enlarges it eightfold.
        .f_contiguous()?
        .f_add(&tables.f_to_device(device)?)?;
    levels.f_take(&indices)
}

/// Height and width in pixels.
fn size_of(images: &[&Pixels]) -> (i64, i64) {
    let size = |image: &&Pixels| (image.height().into(), image.width().into());
    images.first().map_or((1, 1), size)
}

fn vectors(output: &Tensor) -> tch::Result<Vec<Vec<f32>>> {
    Vec::<Vec<f32>>::try_from(&output.f_to_device(Device::Cpu)?.f_contiguous()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ImageLimits, Preprocessor, png};
    use crate::{DeviceChoice, device};

    /// Three images of 6 × 4 pixels, with distinct values within each channel.
    fn images() -> Vec<Pixels> {
        let json = br#"{"size": {"height": 4, "width": 6}, "crop_size": {"height": 4, "width": 6},
            "image_mean": [0.5, 0.25, 0.1], "image_std": [0.5, 0.3, 2.0]}"#;
        let preprocessor = Preprocessor::from_config(json).unwrap();
        let image = |number: u8| {
            let bytes: Vec<u8> = (0..72).map(|at| at * 2 + number * 13).collect();
            let file = png(6, 4, 3, &bytes).unwrap();
            preprocessor.pixels(&file, &ImageLimits::default()).unwrap()
        };
        (0..3).map(image).collect()
    }

    #[test]
    fn images_are_stacked_channel_by_channel() {
        let images = images();
        let stacked = stack(&images.iter().collect::<Vec<_>>(), Device::Cpu).unwrap();
        assert_eq!(stacked.size(), [3, 3, 4, 6]);
        // Row 2, column 4 of image 1.
        let level = |channel| f64::from(13 + 2 * (3 * (2 * 6 + 4) + channel));
        for (channel, mean, deviation) in [(0, 0.5, 0.5), (1, 0.25, 0.3), (2, 0.1, 2.0)] {
            let wanted = (level(channel) / 255.0 - mean) / deviation;
            let found = stacked.double_value(&[1, i64::from(channel), 2, 4]);
            assert!(
                (found - wanted).abs() < 1e-6,
                "{channel}: {found}, {wanted}"
            );
        }
    }

    /// Also runs on a GPU, if there is one.
    #[test]
    fn normalisation_on_the_device_has_the_same_result() {
        let images = images();
        let images: Vec<&Pixels> = images.iter().collect();
        let stacked = stack(&images, Device::Cpu).unwrap();
        let found = device::choose(DeviceChoice::Auto).unwrap().device;
        for device in [Device::Cpu, found] {
            let on_device = stack_on_device(&images, device).unwrap();
            assert_eq!(stacked, on_device.to_device(Device::Cpu), "{device:?}");
        }
    }
}
