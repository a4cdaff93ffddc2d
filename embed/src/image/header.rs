//! The facts that an image's header gives before any pixel is decoded, and the limits that they
//! are checked against.

use std::time::Duration;

use ::image::{DynamicImage, metadata::Orientation};

use super::ImageError;
use super::format::Format;
use super::orient::upright_size;

/// Limits on an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// The most pixels (width × height) that are decoded.
    pub max_pixels: u64,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self {
            max_pixels: 64_000_000,
        }
    }
}

/// The contents of an image's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageInfo {
    /// `image/jpeg`, `image/png`, `image/webp`, `image/gif`, `image/bmp` or `image/tiff`.
    pub media_type: &'static str,
    /// In pixels, after the EXIF orientation is applied.
    pub width: u32,
    /// In pixels, after the EXIF orientation is applied.
    pub height: u32,
    peak_bytes: u64,
    expected: Duration,
}

/// The peak memory of decoding and converting the image, in bytes, without the file's own.
pub fn decode_cost(info: &ImageInfo) -> u64 {
    info.peak_bytes
}

/// An estimate of the time that decoding takes on one core of a server.
pub(crate) fn expected_time(info: &ImageInfo) -> Duration {
    info.expected
}

/// An image whose header has been read.
pub(super) struct OpenedImage<'a> {
    /// Width and height before the orientation is applied, in pixels.
    pub stored: (u32, u32),
    pub orientation: Orientation,
    /// As [`decode_cost`].
    pub memory: u64,
    /// As [`expected_time`], in nanoseconds.
    pub expected_ns: u64,
    pub decode: Box<dyn FnOnce() -> Result<DynamicImage, ImageError> + 'a>,
}

impl OpenedImage<'_> {
    pub fn info(&self, format: Format) -> ImageInfo {
        let (width, height) = self.stored;
        let (width, height) = upright_size(self.orientation, width, height);
        ImageInfo {
            media_type: format.media_type,
            width,
            height,
            peak_bytes: self.memory,
            expected: Duration::from_nanos(self.expected_ns),
        }
    }
}

/// Rejects an image with no pixels or with too many.
pub(super) fn check_size(
    format: Format,
    (width, height): (u32, u32),
    limits: &ImageLimits,
) -> Result<(), ImageError> {
    if width == 0 || height == 0 {
        return Err(ImageError::Empty {
            format: format.name,
            width,
            height,
        });
    }
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        return Err(ImageError::TooManyPixels {
            width,
            height,
            max_pixels: limits.max_pixels,
        });
    }
    Ok(())
}
