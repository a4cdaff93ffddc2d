//! Thumbnails of images.

use std::io::Cursor;

use ::image::codecs::jpeg::JpegEncoder;
use ::image::{DynamicImage, ImageFormat, RgbImage, RgbaImage};

use super::filter::Filter;
use super::resize::{Raster, Region, resize_part};
use super::{ImageError, ImageLimits, IsWanted, decode, orient};

/// An encoded thumbnail.
#[derive(Debug, Clone)]
pub struct Thumbnail {
    /// The contents of the file.
    pub bytes: Vec<u8>,
    /// `image/jpeg`, or `image/png` if the image has an alpha channel.
    pub media_type: &'static str,
}

const JPEG_QUALITY: u8 = 85;
/// The largest height as a multiple of the width: it bounds very tall images.
const TALLEST: u32 = 4;

/// Shrinks the (first) frame, upright, to at most `width` pixels in width and four times that in
/// height. An image is never enlarged.
///
/// # Errors
/// As [`inspect`](super::inspect), and [`ImageError::TooCostly`] or [`ImageError::Thumbnail`].
pub fn thumbnail(bytes: &[u8], width: u32, limits: &ImageLimits) -> Result<Thumbnail, ImageError> {
    thumbnail_while(bytes, width, limits, &|| true)
}

/// As [`thumbnail`], while the result is `wanted`.
pub(crate) fn thumbnail_while(
    bytes: &[u8],
    width: u32,
    limits: &ImageLimits,
    wanted: IsWanted<'_>,
) -> Result<Thumbnail, ImageError> {
    let decoded = decode::decode(bytes, limits, wanted)?;
    let (wide, high) = (decoded.info.width, decoded.info.height);
    let width = width.max(1);
    let share = (f64::from(width) / f64::from(wide))
        .min(f64::from(width.saturating_mul(TALLEST)) / f64::from(high))
        .min(1.0);
    let scaled = |side: u32| ((f64::from(side) * share).round() as u32).max(1);
    let (width, height) = orient::upright_size(decoded.orientation, scaled(wide), scaled(high));
    let mut small = shrink(decoded.image, width, height)?;
    small.apply_orientation(decoded.orientation);
    encode(small)
}

/// Resizes with premultiplied alpha, as Pillow does.
fn shrink(image: DynamicImage, width: u32, height: u32) -> Result<DynamicImage, ImageError> {
    let shrunk = if image.color().has_alpha() {
        let mut rgba = image.into_rgba8();
        for pixel in rgba.pixels_mut() {
            let alpha = u16::from(pixel.0[3]);
            for value in &mut pixel.0[..3] {
                // At most 255, since `alpha` is.
                *value = ((u16::from(*value) * alpha + 127) / 255) as u8;
            }
        }
        let data = resized::<4>(rgba.as_raw(), rgba.dimensions(), width, height);
        let small = RgbaImage::from_raw(width, height, data);
        small.map(|mut small| {
            for pixel in small.pixels_mut() {
                let alpha = u16::from(pixel.0[3]).max(1);
                for value in &mut pixel.0[..3] {
                    *value = (u16::from(*value) * 255 / alpha).min(255) as u8;
                }
            }
            DynamicImage::ImageRgba8(small)
        })
    } else {
        let rgb = image.into_rgb8();
        let data = resized::<3>(rgb.as_raw(), rgb.dimensions(), width, height);
        RgbImage::from_raw(width, height, data).map(DynamicImage::ImageRgb8)
    };
    shrunk.ok_or_else(|| ImageError::Thumbnail {
        reason: "the resized image has an unexpected size".to_owned(),
    })
}

fn resized<const N: usize>(
    data: &[u8],
    (from_width, from_height): (u32, u32),
    width: u32,
    height: u32,
) -> Vec<u8> {
    let source = Raster {
        width: from_width,
        height: from_height,
        data,
    };
    let whole = Region {
        left: 0,
        top: 0,
        width,
        height,
    };
    let full = (u64::from(width), u64::from(height));
    resize_part::<N>(&source, full, whole, Filter::Bicubic)
}

fn encode(small: DynamicImage) -> Result<Thumbnail, ImageError> {
    let mut bytes = Vec::new();
    let (written, media_type) = if small.color().has_alpha() {
        let written = small.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png);
        (written, "image/png")
    } else {
        let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        (small.write_with_encoder(encoder), "image/jpeg")
    };
    written.map_err(|error| ImageError::Thumbnail {
        reason: error.to_string(),
    })?;
    Ok(Thumbnail { bytes, media_type })
}
