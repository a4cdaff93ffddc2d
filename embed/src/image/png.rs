//! PNG without its colour profile and text: a profile of a few kilobytes can inflate to
//! gigabytes, and neither is used.

use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageBuffer};
use ::png::{BitDepth, ColorType, DecodeOptions, Decoder, DecodingError, Limits, Transformations};

use super::budget::{Budget, BudgetedReader};
use super::error::{explain_io, too_much_memory};
use super::format::Format;
use super::header::{OpenedImage, check_size};
use super::{ImageError, ImageLimits, exif, rgb};

/// Memory for chunks and rows, in addition to four rows of the widest pixel type.
const SLACK: usize = 16 << 20;

pub(super) fn open<'a>(
    bytes: &'a [u8],
    format: Format,
    limits: &ImageLimits,
    budget: &'a Budget<'a>,
) -> Result<OpenedImage<'a>, ImageError> {
    let explain = move |error| explain(format.name, error);
    let mut options = DecodeOptions::default();
    options.set_ignore_iccp_chunk(true);
    options.set_ignore_text_chunk(true);
    let mut decoder = Decoder::new_with_options(BudgetedReader::new(bytes, budget), options);
    decoder.set_transformations(Transformations::EXPAND);
    let (width, height) = decoder.read_header_info().map_err(explain)?.size();
    check_size(format, (width, height), limits)?;
    decoder.set_limits(Limits {
        bytes: (width as usize).saturating_mul(4 * 8).saturating_add(SLACK),
    });
    let mut reader = decoder.read_info().map_err(explain)?;
    let (color, depth) = reader.output_color_type();
    let orientation = match &reader.info().exif_metadata {
        Some(metadata) => exif::orientation(metadata),
        None => Orientation::NoTransforms,
    };
    let pixels = u64::from(width) * u64::from(height);
    let channels = color.samples() as u64;
    let deep = depth == BitDepth::Sixteen;
    // 16 bits are reduced to 8 first, then converted to RGB.
    let reduced = if deep { 3 * channels } else { 0 };
    Ok(OpenedImage {
        stored: (width, height),
        orientation,
        memory: pixels * reduced.max(rgb::conversion_bytes(channels)),
        expected_ns: pixels * (4 + if deep { 8 } else { 4 } * channels),
        decode: Box::new(move || {
            let length = reader
                .output_buffer_size()
                .ok_or_else(|| explain(DecodingError::LimitsExceeded))?;
            let mut data = vec![0; length];
            reader.next_frame(&mut data).map_err(explain)?;
            image((width, height), color, depth, data).ok_or_else(|| ImageError::Unsupported {
                format: format.name,
                reason: format!("{color:?} with {depth:?} bits"),
            })
        }),
    })
}

/// `data` is in PNG's byte order, big endian.
fn image(
    (width, height): (u32, u32),
    color: ColorType,
    depth: BitDepth,
    data: Vec<u8>,
) -> Option<DynamicImage> {
    if depth == BitDepth::Eight {
        return match color {
            ColorType::Grayscale => {
                ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageLuma8)
            }
            ColorType::GrayscaleAlpha => {
                ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageLumaA8)
            }
            ColorType::Rgb => {
                ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageRgb8)
            }
            ColorType::Rgba => {
                ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageRgba8)
            }
            ColorType::Indexed => None,
        };
    }
    if depth != BitDepth::Sixteen {
        return None;
    }
    let (pairs, _) = data.as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|pair| rgb::to_8_bits(u16::from_be_bytes(*pair)))
        .collect();
    image((width, height), color, BitDepth::Eight, bytes)
}

fn explain(format: &'static str, error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(error) => explain_io(format, &error),
        DecodingError::LimitsExceeded => too_much_memory(format),
        error => ImageError::Corrupt {
            format,
            reason: error.to_string(),
        },
    }
}
