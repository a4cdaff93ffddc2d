//! WebP, GIF and BMP with the `image` crate's decoders.

use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::budget::{Budget, BudgetedReader};
use super::format::Format;
use super::header::{OpenedImage, check_size};
use super::{ImageError, ImageLimits, error, exif, rgb, webp};

/// Memory in addition to the pixels: tables, one frame's palette, metadata.
const SLACK: u64 = 32 << 20;

pub(super) fn open<'a>(
    bytes: &'a [u8],
    format: Format,
    limits: &ImageLimits,
    budget: &'a Budget<'a>,
) -> Result<OpenedImage<'a>, ImageError> {
    let explain = move |cause| error::explain(format.name, cause);
    let exif = match format.format {
        ImageFormat::WebP => {
            webp::check(bytes)?;
            webp::exif(bytes)
        }
        _ => None,
    };
    let mut reader = ImageReader::with_format(BudgetedReader::new(bytes, budget), format.format);
    reader.limits(allowance(SLACK));
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    check_size(format, (width, height), limits)?;
    let color = decoder.color_type();
    let pixels = u64::from(width) * u64::from(height);
    let channels = u64::from(color.channel_count());
    let decoding = u64::from(color.bytes_per_pixel()) + working_bytes(format.format);
    let memory = pixels * decoding.max(rgb::conversion_bytes(channels));
    decoder
        .set_limits(allowance(memory.saturating_add(SLACK)))
        .map_err(explain)?;
    Ok(OpenedImage {
        stored: (width, height),
        orientation: exif.map_or(Orientation::NoTransforms, exif::orientation),
        memory,
        expected_ns: match format.format {
            ImageFormat::WebP => 30 * pixels + 60 * bytes.len() as u64,
            ImageFormat::Gif => 12 * pixels,
            _ => 6 * pixels,
        },
        decode: Box::new(move || {
            let image = DynamicImage::from_decoder(decoder).map_err(explain)?;
            Ok(match format.format {
                ImageFormat::Bmp => opaque_if_invisible(image),
                _ => image,
            })
        }),
    })
}

/// Bytes per pixel that a decoder holds in addition to its output.
fn working_bytes(format: ImageFormat) -> u64 {
    match format {
        // An animation's canvas in addition to the frame.
        ImageFormat::WebP => 8,
        ImageFormat::Gif => 5,
        _ => 0,
    }
}

/// Drops the alpha channel of a fully transparent image. The clipboard and screenshot tools of
/// Windows write a fourth byte of 0 and declare it alpha.
fn opaque_if_invisible(image: DynamicImage) -> DynamicImage {
    match image {
        DynamicImage::ImageRgba8(rgba) if rgba.pixels().all(|pixel| pixel.0[3] == 0) => {
            DynamicImage::ImageRgb8(DynamicImage::ImageRgba8(rgba).into_rgb8())
        }
        image => image,
    }
}

fn allowance(bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bytes);
    limits
}
