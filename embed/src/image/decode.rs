//! Inspecting and decoding an image file of any supported format.

use ::image::{DynamicImage, ImageFormat, metadata::Orientation};

use super::budget::{Budget, IsWanted};
use super::error::guarded;
use super::format::Format;
use super::header::OpenedImage;
use super::{ImageError, ImageInfo, ImageLimits, jpeg, png, tiff, webp_gif_bmp};

/// A decoded image as it is stored: `orientation` is not applied yet.
pub(super) struct DecodedImage {
    pub info: ImageInfo,
    pub orientation: Orientation,
    pub image: DynamicImage,
}

/// Reads only the header of an image file.
///
/// # Errors
/// [`ImageError::NotAnImage`], [`ImageError::Unsupported`], [`ImageError::Truncated`] or
/// [`ImageError::Corrupt`] if the header cannot be read, [`ImageError::Empty`] if a side is
/// zero, and [`ImageError::TooManyPixels`] above `limits.max_pixels`.
pub fn inspect(bytes: &[u8], limits: &ImageLimits) -> Result<ImageInfo, ImageError> {
    let format = Format::of(bytes)?;
    let budget = Budget::new(&|| true);
    let opened = guarded(format.name, || open(bytes, format, limits, &budget));
    budget.conclude(format.name, opened.map(|opened| opened.info(format)))
}

/// Decodes the (first) frame while it is `wanted`.
pub(super) fn decode(
    bytes: &[u8],
    limits: &ImageLimits,
    wanted: IsWanted<'_>,
) -> Result<DecodedImage, ImageError> {
    let format = Format::of(bytes)?;
    let budget = Budget::new(wanted);
    let decoded = guarded(format.name, || {
        let opened = open(bytes, format, limits, &budget)?;
        let (width, height) = opened.stored;
        budget.allow(u64::from(width) * u64::from(height));
        Ok(DecodedImage {
            info: opened.info(format),
            orientation: opened.orientation,
            image: (opened.decode)()?,
        })
    });
    budget.conclude(format.name, decoded)
}

fn open<'a>(
    bytes: &'a [u8],
    format: Format,
    limits: &ImageLimits,
    budget: &'a Budget<'a>,
) -> Result<OpenedImage<'a>, ImageError> {
    match format.format {
        ImageFormat::Jpeg => jpeg::open(bytes, format, limits, budget),
        ImageFormat::Png => png::open(bytes, format, limits, budget),
        ImageFormat::Tiff => tiff::open(bytes, format, limits, budget),
        _ => webp_gif_bmp::open(bytes, format, limits, budget),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_format_stops_once_the_result_is_unwanted() {
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
