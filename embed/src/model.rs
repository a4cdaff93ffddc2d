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
            let pixels = pictures
                .iter()
                .map(|picture| {
                    Tensor::f_from_slice(&picture.data)?.f_view([
                        3,
                        i64::from(picture.height),
                        i64::from(picture.width),
                    ])
                })
                .collect::<tch::Result<Vec<_>>>()?;
            let pixels = Tensor::f_stack(&pixels, 0)?
                .f_to_device(self.device)?
                .f_to_kind(self.kind)?;
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
            let blank = Pixels {
                data: vec![0.0; 3 * side * side],
                width: side as u32,
                height: side as u32,
            };
            self.images(&[&blank], &|| ())?;
        }
        self.texts(&[&[0, 0], &[0, 0, 0]], &|| ())?;
        Ok(())
    }
}

fn vectors(output: &Tensor) -> tch::Result<Vec<Vec<f32>>> {
    Vec::<Vec<f32>>::try_from(&output.f_to_device(Device::Cpu)?.f_contiguous()?)
}
