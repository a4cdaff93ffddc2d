//! Decoding to 8 bits, and the one place where decoders' errors get their words.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::image::{DynamicImage, RgbImage, metadata::Orientation};

use super::budget::{Budget, Wanted};
use super::header::{self, Format};
use super::{ImageError, ImageInfo, ImageLimits};

/// A decoded picture as it is stored: `orientation` is still to be applied.
pub(super) struct Decoded {
    pub info: ImageInfo,
    pub orientation: Orientation,
    pub image: DynamicImage,
}

/// Decodes the (first) frame, for as long as it is `wanted`.
pub(super) fn decode(
    bytes: &[u8],
    limits: &ImageLimits,
    wanted: Wanted<'_>,
) -> Result<Decoded, ImageError> {
    let format = Format::of(bytes)?;
    let budget = Budget::new(wanted);
    let decoded = guarded(format.name, || {
        let opened = header::open(bytes, format, limits, &budget)?;
        let (width, height) = opened.stored;
        budget.allow(u64::from(width) * u64::from(height));
        Ok(Decoded {
            info: opened.info(format),
            orientation: opened.orientation,
            image: (opened.decode)()?,
        })
    });
    budget.settle(format.name, decoded)
}

/// The most bytes per pixel that there are at a time while an image of so many 8-bit channels is
/// made RGB: itself, RGBA where it has alpha, and RGB.
pub(super) fn shown_bytes(channels: u64) -> u64 {
    match channels {
        1 => 1 + 3,
        3 => 3,
        _ => 4 + 3,
    }
}

/// The nearest of 256 levels.
pub(super) fn to_8_bits(value: u16) -> u8 {
    // At most 255, since 65,535 is 255 × 257.
    ((u32::from(value) + 128) / 257) as u8
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
        ::image::ImageError::IoError(error) => explain_io(format, &error),
        ::image::ImageError::Unsupported(error) => ImageError::Unsupported {
            format,
            reason: error.to_string(),
        },
        ::image::ImageError::Limits(_) => too_much_memory(format),
        error => ImageError::Damaged {
            format,
            reason: error.to_string(),
        },
    }
}

pub(super) fn explain_io(format: &'static str, error: &std::io::Error) -> ImageError {
    match error.kind() {
        ErrorKind::UnexpectedEof => ImageError::Truncated { format },
        _ => ImageError::Damaged {
            format,
            reason: error.to_string(),
        },
    }
}

pub(super) fn too_much_memory(format: &'static str) -> ImageError {
    ImageError::Damaged {
        format,
        reason: "it asks for more memory than its size accounts for".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_format_stops_when_nobody_waits() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/golden");
        let limits = ImageLimits::default();
        for name in [
            "formats/rgb.jpg",
            "formats/progressive.jpg",
            "formats/rgb.png",
            "formats/lossy.webp",
            "formats/still.gif",
            "formats/rgb.bmp",
            "kinds/rgb-tiff_lzw.tiff",
            "kinds/rgb-jpeg.tiff",
            "kinds/fax-group4.tiff",
            "kinds/tiles.tiff",
        ] {
            let file = std::fs::read(folder.join(name)).unwrap();
            assert!(decode(&file, &limits, &|| true).is_ok(), "{name}");
            let asked = Cell::new(0);
            let gone = || {
                asked.set(asked.get() + 1);
                false
            };
            let stopped = decode(&file, &limits, &gone).map(|decoded| decoded.info);
            assert!(
                matches!(stopped, Err(ImageError::Abandoned)),
                "{name}: {stopped:?}"
            );
            assert!(asked.get() > 0, "{name}");
        }
    }
}
