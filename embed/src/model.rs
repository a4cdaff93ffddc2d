//! A model in memory: its towers, and from each the way into one space.

use tch::{Device, Kind, Tensor};

use crate::EmbedError;
use crate::image::Pixels;
use crate::towers::{ImageTower, Pause, Projection, TextTower, TokenBatch};

/// A tower and the projection of its features into the shared space.
pub(crate) struct Half<T: ?Sized> {
    pub tower: Box<T>,
    pub projection: Projection,
}

pub(crate) struct Model {
    pub model_type: String,
    pub license: Option<String>,
    pub dim: i64,
    pub scale: Scale,
    pub parameters: u64,
    pub fingerprint: String,
    pub text: Half<dyn TextTower>,
    /// None in a model of sentences alone.
    pub image: Option<Half<dyn ImageTower>>,
    pub device: Device,
    pub kind: Kind,
}

/// What makes a cosine a logit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    pub factor: f64,
    /// Added to the product where a model judges each pair by itself.
    pub bias: Option<f64>,
    /// The model's files do not tell it: it is what its kind is usually trained with.
    pub assumed: bool,
}

impl Model {
    pub fn context_length(&self) -> usize {
        self.text.tower.context_length()
    }

    pub fn image_size(&self) -> Option<usize> {
        self.image.as_ref().map(|image| image.tower.image_size())
    }

    /// One vector a row of token numbers, not normalised.
    pub fn texts(&self, rows: &[&[u32]], pause: Pause<'_>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let run = || {
            let batch = TokenBatch::new(rows, self.device)?;
            let features = self.text.tower.forward(&batch, pause)?;
            vectors(&self.text.projection.forward(&features)?)
        };
        tch::no_grad(run).map_err(EmbedError::torch("embedding texts"))
    }

    /// One vector a picture, not normalised.
    pub fn images(
        &self,
        pictures: &[&Pixels],
        pause: Pause<'_>,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        let image = self.image.as_ref().ok_or(EmbedError::NoImageTower)?;
        let run = || {
            let pixels = stack(pictures, self.device)?.f_to_kind(self.kind)?;
            let features = image.tower.forward(&pixels, pause)?;
            vectors(&image.projection.forward(&features)?)
        };
        tch::no_grad(run).map_err(EmbedError::torch("embedding pictures"))
    }

    /// Runs both towers once on nothing in particular: what does not work on this
    /// device in this precision is told at the start, and the first request is as fast
    /// as the second.
    pub fn warm_up(&self) -> Result<(), EmbedError> {
        if let Some(side) = self.image_size() {
            let blank = Pixels::blank(side as u32);
            self.images(&[&blank], &|| ())?;
        }
        self.texts(&[&[0, 0], &[0, 0, 0]], &|| ())?;
        Ok(())
    }
}

/// Pictures of one size and one preprocessor as [pictures, 3, height, width], normalised.
fn stack(pictures: &[&Pixels], device: Device) -> tch::Result<Tensor> {
    if device != Device::Cpu {
        return look_up(pictures, device);
    }
    let numbers = pictures.iter().map(|picture| picture.bytes().len()).sum();
    let mut numbers = Vec::with_capacity(numbers);
    for picture in pictures {
        picture.normalise_into(&mut numbers);
    }
    let (height, width) = size_of(pictures);
    Tensor::f_from_slice(&numbers)?.f_view([-1, 3, height, width])
}

/// The same where `device` reads the tables of levels: a quarter of the bytes go there, and the
/// thread that keeps it busy copies as many fewer.
fn look_up(pictures: &[&Pixels], device: Device) -> tch::Result<Tensor> {
    let bytes: Vec<&[u8]> = pictures.iter().map(|picture| picture.bytes()).collect();
    let levels = pictures
        .first()
        .map_or(&[[0.0; 256]; 3], |first| first.levels());
    let levels = Tensor::f_from_slice(levels.as_flattened())?.f_to_device(device)?;
    // Where each channel's table begins.
    let tables = Tensor::f_from_slice(&[0_i64, 256, 512])?.f_view([1, 3, 1, 1])?;
    let (height, width) = size_of(pictures);
    let places = Tensor::f_from_slice(&bytes.concat())?
        .f_to_device(device)?
        .f_view([-1, height, width, 3])?
        .f_permute([0, 3, 1, 2])?
        // Before they take eight times the room.
        .f_contiguous()?
        .f_add(&tables.f_to_device(device)?)?;
    levels.f_take(&places)
}

/// Height and width.
fn size_of(pictures: &[&Pixels]) -> (i64, i64) {
    let size = |picture: &&Pixels| (picture.height().into(), picture.width().into());
    pictures.first().map_or((1, 1), size)
}

fn vectors(output: &Tensor) -> tch::Result<Vec<Vec<f32>>> {
    Vec::<Vec<f32>>::try_from(&output.f_to_device(Device::Cpu)?.f_contiguous()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ImageLimits, Preprocessor, png};
    use crate::{DeviceChoice, device};

    /// Three pictures of 6 x 4, no two numbers of a channel alike.
    fn pictures() -> Vec<Pixels> {
        let json = br#"{"size": {"height": 4, "width": 6}, "crop_size": {"height": 4, "width": 6},
            "image_mean": [0.5, 0.25, 0.1], "image_std": [0.5, 0.3, 2.0]}"#;
        let preprocessor = Preprocessor::from_config(json).unwrap();
        let picture = |number: u8| {
            let bytes: Vec<u8> = (0..72).map(|at| at * 2 + number * 13).collect();
            let file = png(6, 4, 3, &bytes).unwrap();
            preprocessor.pixels(&file, &ImageLimits::default()).unwrap()
        };
        (0..3).map(picture).collect()
    }

    #[test]
    fn pictures_are_stacked_channel_by_channel() {
        let pictures = pictures();
        let stacked = stack(&pictures.iter().collect::<Vec<_>>(), Device::Cpu).unwrap();
        assert_eq!(stacked.size(), [3, 3, 4, 6]);
        // The second picture's third row, fifth column.
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

    /// On a GPU too where there is one.
    #[test]
    fn pictures_looked_up_on_a_device_are_the_same_numbers() {
        let pictures = pictures();
        let pictures: Vec<&Pixels> = pictures.iter().collect();
        let stacked = stack(&pictures, Device::Cpu).unwrap();
        let found = device::choose(DeviceChoice::Auto).unwrap().device;
        for device in [Device::Cpu, found] {
            let looked_up = look_up(&pictures, device).unwrap();
            assert_eq!(stacked, looked_up.to_device(Device::Cpu), "{device:?}");
        }
    }
}
