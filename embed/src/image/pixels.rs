//! A picture as an image tower reads it, in 8 bits until the device has it: a quarter of
//! the room while it waits, and of the way to a GPU.

use std::sync::Arc;

use ::image::RgbImage;

/// Per channel, the normalised value of each of the 256 levels.
pub(crate) type Levels = [[f32; 256]; 3];

/// One picture, of the size that its model sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Pixels {
    picture: RgbImage,
    levels: Arc<Levels>,
}

impl Pixels {
    pub(super) fn new(picture: RgbImage, levels: Arc<Levels>) -> Self {
        Self { picture, levels }
    }

    /// A square in which every number is 0.
    pub(crate) fn blank(side: u32) -> Self {
        Self::new(RgbImage::new(side, side), Arc::new([[0.0; 256]; 3]))
    }

    /// In pixels.
    pub fn width(&self) -> u32 {
        self.picture.width()
    }

    /// In pixels.
    pub fn height(&self) -> u32 {
        self.picture.height()
    }

    /// `height` × `width` × 3.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.picture.as_raw()
    }

    pub(crate) fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Appends 3 × `height` × `width` numbers, normalised: all of red, then green, then blue.
    pub fn normalise_into(&self, numbers: &mut Vec<f32>) {
        let pixels = self.picture.as_raw().as_chunks::<3>().0;
        for (channel, levels) in self.levels.iter().enumerate() {
            let of_channel = |pixel: &[u8; 3]| levels[usize::from(pixel[channel])];
            numbers.extend(pixels.iter().map(of_channel));
        }
    }
}
