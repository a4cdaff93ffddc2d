//! JPEG with libjpeg-turbo.
//!
//! The standard leaves colour interpolation and rounding to the decoder. Models were trained on
//! Pillow's output, which is libjpeg's. Other decoders differ by up to 23 levels at edges in images
//! with subsampled colour.

mod ffi;
mod markers;

use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageBuffer};

use self::ffi::{Decoder, JpegFailure, Outcome};
use self::markers::Markers;
use super::budget::Budget;
use super::error::too_much_memory;
use super::format::Format;
use super::header::{OpenedImage, check_size};
use super::{ImageError, ImageLimits, exif, rgb};

pub(super) use self::ffi::{Components, JpegHeader};

/// The decoder visits all blocks once per scan of a progressive file, so a file of empty scans
/// costs a thousand times more than its size suggests. Encoders write about 10 scans, optimising
/// ones up to 20. More than one per coefficient, of which there are 64, is useless.
const MOST_SCANS: u32 = 100;

/// In a file with an end marker, one in so many rows of blocks may lack data: some cameras drop
/// the last row, and viewers show the rest.
const MOST_MISSING: u32 = 8;

pub(super) fn open<'a>(
    bytes: &'a [u8],
    format: Format,
    limits: &ImageLimits,
    budget: &'a Budget<'a>,
) -> Result<OpenedImage<'a>, ImageError> {
    let (decoder, header) = open_decoder(format.name, &[], bytes)?;
    if header.channels == 2 {
        return Err(unsupported(format.name, &header));
    }
    check_size(format, (header.width, header.height), limits)?;
    let scans = count_scans(format.name, bytes)?;
    let pixels = u64::from(header.width) * u64::from(header.height);
    let channels = u64::from(header.channels);
    let decoding = pixels * channels + header.coefficient_bytes;
    Ok(OpenedImage {
        stored: (header.width, header.height),
        orientation: Markers::of(bytes)
            .exif()
            .map_or(Orientation::NoTransforms, exif::orientation),
        memory: decoding.max(pixels * rgb::conversion_bytes(channels)),
        expected_ns: pixels * (8 + 2 * u64::from(scans - 1)) + 10 * bytes.len() as u64,
        decode: Box::new(move || {
            let pixels = read(format.name, decoder, Components::AsMarked, budget)?;
            to_image((header.width, header.height), pixels).ok_or_else(|| ImageError::Corrupt {
                format: format.name,
                reason: "its rows and its header differ in length".to_owned(),
            })
        }),
    })
}

/// Decodes a JPEG that is embedded in another file, to `[height, width, channels]` samples.
/// `tables` are the tables that the other file stores outside of the JPEG.
///
/// # Errors
/// [`ImageError::Corrupt`] if it has more than `most_pixels` pixels, and the errors of decoding.
pub(super) fn samples(
    format: &'static str,
    tables: &[u8],
    bytes: &[u8],
    components: Components,
    most_pixels: u64,
    budget: &Budget<'_>,
) -> Result<(JpegHeader, Vec<u8>), ImageError> {
    let (decoder, header) = open_decoder(format, tables, bytes)?;
    if u64::from(header.width) * u64::from(header.height) > most_pixels {
        return Err(ImageError::Corrupt {
            format,
            reason: "an embedded JPEG is larger than the space for it".to_owned(),
        });
    }
    count_scans(format, bytes)?;
    let samples = read(format, decoder, components, budget)?;
    Ok((header, samples))
}

fn open_decoder<'a>(
    format: &'static str,
    tables: &[u8],
    bytes: &'a [u8],
) -> Result<(Decoder<'a>, JpegHeader), ImageError> {
    let (decoder, header) =
        Decoder::open(tables, bytes).map_err(|failure| explain(format, failure))?;
    if header.precision != 8 || header.channels == 0 {
        return Err(unsupported(format, &header));
    }
    Ok((decoder, header))
}

fn unsupported(format: &'static str, header: &JpegHeader) -> ImageError {
    let JpegHeader {
        components,
        precision,
        ..
    } = header;
    ImageError::Unsupported {
        format,
        reason: format!("{components} components of {precision} bits"),
    }
}

/// The number of scans, at least 1.
fn count_scans(format: &'static str, bytes: &[u8]) -> Result<u32, ImageError> {
    let scans = Markers::of(bytes).filter(markers::Marker::is_scan).count();
    match u32::try_from(scans) {
        Ok(scans) if scans <= MOST_SCANS => Ok(scans.max(1)),
        _ => Err(too_many_scans(format)),
    }
}

fn too_many_scans(format: &'static str) -> ImageError {
    ImageError::TooCostly {
        format,
        reason: format!("it has more than {MOST_SCANS} scans"),
    }
}

fn read(
    format: &'static str,
    decoder: Decoder<'_>,
    components: Components,
    budget: &Budget<'_>,
) -> Result<Vec<u8>, ImageError> {
    let may_continue = || budget.may_continue();
    let (pixels, outcome) = decoder
        .read(components, MOST_SCANS, &may_continue)
        .map_err(|failure| explain(format, failure))?;
    match is_complete(&outcome) {
        true => Ok(pixels),
        false => Err(ImageError::Truncated { format }),
    }
}

/// Whether the file has (nearly) all of its data. The decoder fills missing data with grey. A file
/// that lacks only its end marker is complete. A file that is truncated earlier is not, although
/// viewers show a part of it.
fn is_complete(outcome: &Outcome) -> bool {
    if outcome.no_end != 0 {
        return outcome.short_scans == 0 && outcome.missing_rows == 0 && outcome.incomplete == 0;
    }
    outcome.missing_rows <= outcome.rows / MOST_MISSING
        || outcome.missing_rows <= 1 && outcome.rows > 1
}

fn explain(format: &'static str, failure: JpegFailure) -> ImageError {
    match failure {
        JpegFailure::TooManyScans => too_many_scans(format),
        JpegFailure::Truncated => ImageError::Truncated { format },
        // The budget's own error replaces this one.
        JpegFailure::Stopped => ImageError::Abandoned,
        JpegFailure::NoMemory => too_much_memory(format),
        JpegFailure::Failed(reason) => ImageError::Corrupt { format, reason },
    }
}

/// Grey, RGB or CMYK, by the number of bytes per pixel.
fn to_image((width, height): (u32, u32), mut pixels: Vec<u8>) -> Option<DynamicImage> {
    let count = width as usize * height as usize;
    match pixels.len().checked_div(count)? {
        1 => ImageBuffer::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        3 => ImageBuffer::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
        4 => {
            // Adobe's programs write inverted CMYK, and every reader assumes that.
            for place in 0..count {
                let cmyk = [0, 1, 2, 3].map(|ink| 255 - pixels[4 * place + ink]);
                pixels[3 * place..3 * place + 3].copy_from_slice(&rgb::from_cmyk(cmyk));
            }
            pixels.truncate(3 * count);
            ImageBuffer::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(missing_rows: u32, no_end: u32) -> Outcome {
        Outcome {
            rows: 16,
            missing_rows,
            short_scans: u32::from(missing_rows > 0),
            no_end,
            incomplete: 0,
        }
    }

    #[test]
    fn a_missing_end_marker_is_accepted_and_missing_data_is_not() {
        assert!(is_complete(&outcome(0, 0)) && is_complete(&outcome(0, 1)));
        assert!(is_complete(&outcome(2, 0)) && !is_complete(&outcome(3, 0)));
        assert!(!is_complete(&outcome(1, 1)));
        let scan_missing = Outcome {
            incomplete: 1,
            ..outcome(0, 1)
        };
        assert!(!is_complete(&scan_missing));
        let progressive_on_purpose = Outcome {
            no_end: 0,
            ..scan_missing
        };
        assert!(is_complete(&progressive_on_purpose));
        let all = Outcome {
            rows: 1,
            ..outcome(1, 0)
        };
        assert!(!is_complete(&all));
    }
}
