//! An image as an image tower reads it. It stays in 8 bits until it reaches the device: a quarter
//! of the memory in the queue and of the transfer to a GPU.

use std::sync::Arc;

use ::image::RgbImage;

/// The normalised value of each of the 256 levels, per channel.
pub(crate) type Levels = [[f32; 256]; 3];

/// One preprocessed image of the size that its model reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Pixels {
    image: RgbImage,
    levels: Arc<Levels>,
}

impl Pixels {
    pub(super) fn new(image: RgbImage, levels: Arc<Levels>) -> Self {
        Self { image, levels }
    }

    /// A square image in which every normalised value is 0.
    pub(crate) fn blank(side: u32) -> Self {
        Self::new(RgbImage::new(side, side), Arc::new([[0.0; 256]; 3]))
    }

    /// The width in pixels.
    pub fn width(&self) -> u32 {
        self.image.width()
    }

    /// The height in pixels.
    pub fn height(&self) -> u32 {
        self.image.height()
    }

    /// `[height, width, 3]`, before normalisation.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.image.as_raw()
    }

    /// The lookup table that normalises [`bytes`](Self::bytes).
    pub(crate) fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Appends the normalised values as `[3, height, width]`: red, then green, then blue.
    pub fn normalise_into(&self, values: &mut Vec<f32>) {
        let pixels = self.image.as_raw().as_chunks::<3>().0;
        for (channel, levels) in self.levels.iter().enumerate() {
            let of_channel = |pixel: &[u8; 3]| levels[usize::from(pixel[channel])];
            values.extend(pixels.iter().map(of_channel));
        }
    }
}
