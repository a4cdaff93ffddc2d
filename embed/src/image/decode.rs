//! Decoding to 8 bits, and the one place where decoders' errors get their words.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::image::{DynamicImage, ImageFormat, RgbImage, metadata::Orientation};

use super::header::{self, Format};
use super::{ImageError, ImageInfo, ImageLimits, jpeg};

/// A decoded picture as it is stored: `orientation` is still to be applied.
pub(super) struct Decoded {
    pub info: ImageInfo,
    pub orientation: Orientation,
    pub image: DynamicImage,
}

/// Decodes the (first) frame.
pub(super) fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<Decoded, ImageError> {
    let format = Format::of(bytes)?;
    guarded(format.name, || {
        let header = header::open(bytes, format, limits)?;
        let is_jpeg = format.format == ImageFormat::Jpeg;
        if is_jpeg && !jpeg::is_complete(bytes) {
            return Err(ImageError::Truncated {
                format: format.name,
            });
        }
        let image = match is_jpeg.then(|| jpeg::pixels(bytes)).flatten() {
            Some(picture) => DynamicImage::ImageRgb8(picture),
            None => DynamicImage::from_decoder(header.decoder)
                .map_err(|error| explain(format.name, error))?,
        };
        Ok(Decoded {
            info: header.info,
            orientation: header.orientation,
            image,
        })
    })
}

/// Without alpha; what was transparent is white.
pub(super) fn over_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = image.into_rgba8();
    let (width, height) = rgba.dimensions();
    let mut rgb = RgbImage::new(width, height);
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let [red, green, blue, alpha] = from.0;
        to.0 = [red, green, blue].map(|value| blend_with_white(value, alpha));
    }
    rgb
}

fn blend_with_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    let blended = (value * alpha + 255 * (255 - alpha) + 127) / 255;
    // At most 255, since it lies between `value` and 255.
    blended as u8
}

/// A decoder that panics on a damaged file has found damage, no more.
pub(super) fn guarded<T>(
    format: &'static str,
    work: impl FnOnce() -> Result<T, ImageError>,
) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(ImageError::Damaged {
            format,
            reason: "its decoder gave up".to_owned(),
        })
    })
}

pub(super) fn explain(format: &'static str, error: ::image::ImageError) -> ImageError {
    match error {
        ::image::ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::Truncated { format }
        }
        ::image::ImageError::Unsupported(error) => ImageError::Unsupported {
            format,
            reason: error.to_string(),
        },
        ::image::ImageError::Limits(_) => ImageError::Damaged {
            format,
            reason: "it asks for more memory than its size accounts for".to_owned(),
        },
        error => ImageError::Damaged {
            format,
            reason: error.to_string(),
        },
    }
}
