//! The test image of the examples.

use std::error::Error;
use std::io::Cursor;

use bytes::Bytes;
use image::{ImageFormat, RgbImage};

/// A JPEG of 640 × 480 pixels that is neither flat nor noise.
pub fn jpeg() -> Result<Bytes, Box<dyn Error>> {
    let image = RgbImage::from_fn(640, 480, |x, y| {
        let wave = |scale: f32| {
            ((x as f32 / scale).sin() * (y as f32 / scale).cos() * 127.0 + 128.0) as u8
        };
        ::image::Rgb([wave(31.0), wave(17.0), wave(7.0)])
    });
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Jpeg)?;
    Ok(Bytes::from(bytes.into_inner()))
}
