//! JPEG by libjpeg-turbo, and what its markers say.
//!
//! Decoders may interpolate colour and round as they like. Models were trained on what
//! Pillow shows, which is libjpeg's; other decoders differ by up to 23 levels at the edges
//! of pictures with halved colour.

mod ffi;
mod markers;

use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageBuffer};

use self::ffi::{Decoder, Outcome, Refusal};
use self::markers::Markers;
use super::budget::Budget;
use super::header::{Format, Opened};
use super::{ImageError, ImageLimits, decode, exif, header};

pub(super) use self::ffi::Components;

/// Every scan of a progressive file visits all of its blocks, so that a file of empty scans
/// costs a thousand times what its size says. Encoders write 10 scans, those that search for the
/// smallest file up to some twenty; one for each of 64 coefficients is the most that is of use.
const MOST_SCANS: u32 = 100;

/// Rows of blocks of which no data came, in a file with an end marker, as a share of all: cameras
/// drop a last row, and viewers show the rest.
const MOST_MISSING: u32 = 8;

pub(super) fn open<'a>(
    bytes: &'a [u8],
    format: Format,
    limits: &ImageLimits,
    budget: &'a Budget<'a>,
) -> Result<Opened<'a>, ImageError> {
    let (decoder, facts) = open_whole(format.name, &[], bytes)?;
    if facts.channels == 2 {
        return Err(unsupported(format.name, &facts));
    }
    header::check_size(format, (facts.width, facts.height), limits)?;
    let scans = count_scans(format.name, bytes)?;
    let pixels = u64::from(facts.width) * u64::from(facts.height);
    let channels = u64::from(facts.channels);
    let decoding = pixels * channels + facts.coefficient_bytes;
    Ok(Opened {
        stored: (facts.width, facts.height),
        orientation: Markers::of(bytes)
            .exif()
            .map_or(Orientation::NoTransforms, exif::orientation),
        memory: decoding.max(pixels * decode::shown_bytes(channels)),
        expected_ns: pixels * (8 + 2 * u64::from(scans - 1)) + 10 * bytes.len() as u64,
        decode: Box::new(move || {
            let pixels = read(format.name, decoder, Components::AsMarked, budget)?;
            shown((facts.width, facts.height), pixels).ok_or_else(|| ImageError::Damaged {
                format: format.name,
                reason: "its rows are not as long as its header says".to_owned(),
            })
        }),
    })
}

/// The samples of a JPEG within another file, `channels` bytes per pixel, and its size. `tables`
/// are what the file keeps outside of it.
pub(super) fn samples(
    format: &'static str,
    tables: &[u8],
    bytes: &[u8],
    components: Components,
    most_pixels: u64,
    budget: &Budget<'_>,
) -> Result<(ffi::Facts, Vec<u8>), ImageError> {
    let (decoder, facts) = open_whole(format, tables, bytes)?;
    if u64::from(facts.width) * u64::from(facts.height) > most_pixels {
        return Err(ImageError::Damaged {
            format,
            reason: "a JPEG in it is larger than its place".to_owned(),
        });
    }
    count_scans(format, bytes)?;
    let samples = read(format, decoder, components, budget)?;
    Ok((facts, samples))
}

fn open_whole<'a>(
    format: &'static str,
    tables: &[u8],
    bytes: &'a [u8],
) -> Result<(Decoder<'a>, ffi::Facts), ImageError> {
    let (decoder, facts) =
        Decoder::open(tables, bytes).map_err(|refusal| explain(format, refusal))?;
    if facts.precision != 8 || facts.channels == 0 {
        return Err(unsupported(format, &facts));
    }
    Ok((decoder, facts))
}

fn unsupported(format: &'static str, facts: &ffi::Facts) -> ImageError {
    let ffi::Facts {
        components,
        precision,
        ..
    } = facts;
    ImageError::Unsupported {
        format,
        reason: format!("{components} components of {precision} bits"),
    }
}

/// At least 1.
fn count_scans(format: &'static str, bytes: &[u8]) -> Result<u32, ImageError> {
    let scans = Markers::of(bytes).filter(|marker| marker.is_scan()).count();
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
    let proceeds = || budget.proceeds();
    let (pixels, outcome) = decoder
        .read(components, MOST_SCANS, &proceeds)
        .map_err(|refusal| explain(format, refusal))?;
    match is_whole(&outcome) {
        true => Ok(pixels),
        false => Err(ImageError::Truncated { format }),
    }
}

/// Decoders fill what is missing with grey and go on. A file that lacks its end marker alone
/// shows all there is; one that was cut off before does not, though viewers show its part.
fn is_whole(outcome: &Outcome) -> bool {
    if outcome.no_end != 0 {
        return outcome.short_scans == 0 && outcome.missing_rows == 0 && outcome.incomplete == 0;
    }
    outcome.missing_rows <= outcome.rows / MOST_MISSING
        || outcome.missing_rows <= 1 && outcome.rows > 1
}

fn explain(format: &'static str, refusal: Refusal) -> ImageError {
    match refusal {
        Refusal::TooManyScans => too_many_scans(format),
        Refusal::CutOff => ImageError::Truncated { format },
        // What the budget says goes before it.
        Refusal::Stopped => ImageError::Abandoned,
        Refusal::NoMemory => decode::too_much_memory(format),
        Refusal::Failed(reason) => ImageError::Damaged { format, reason },
    }
}

/// By the bytes per pixel: grey, colours, or the inks of printing.
fn shown((width, height): (u32, u32), mut pixels: Vec<u8>) -> Option<DynamicImage> {
    let count = width as usize * height as usize;
    match pixels.len().checked_div(count)? {
        1 => ImageBuffer::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        3 => ImageBuffer::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
        4 => {
            // Adobe's programs write inks inverted, and everybody who reads them assumes so.
            for place in 0..count {
                let inks = [0, 1, 2, 3].map(|ink| 255 - pixels[4 * place + ink]);
                pixels[3 * place..3 * place + 3].copy_from_slice(&from_inks(inks));
            }
            pixels.truncate(3 * count);
            ImageBuffer::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
        }
        _ => None,
    }
}

/// Cyan, magenta, yellow and black as red, green and blue, by Pillow's arithmetic.
pub(super) fn from_inks([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let paper = 255 - black;
    [cyan, magenta, yellow].map(|ink| {
        let product = u32::from(ink) * u32::from(paper) + 128;
        // At most `paper`.
        paper.saturating_sub((((product >> 8) + product) >> 8) as u8)
    })
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
    fn a_missing_end_marker_is_forgiven_and_missing_data_is_not() {
        assert!(is_whole(&outcome(0, 0)) && is_whole(&outcome(0, 1)));
        assert!(is_whole(&outcome(2, 0)) && !is_whole(&outcome(3, 0)));
        assert!(!is_whole(&outcome(1, 1)));
        let scan_missing = Outcome {
            incomplete: 1,
            ..outcome(0, 1)
        };
        assert!(!is_whole(&scan_missing));
        let progressive_on_purpose = Outcome {
            no_end: 0,
            ..scan_missing
        };
        assert!(is_whole(&progressive_on_purpose));
        let all = Outcome {
            rows: 1,
            ..outcome(1, 0)
        };
        assert!(!is_whole(&all));
    }

    #[test]
    fn inks_are_what_pillow_makes_of_them() {
        for (inks, shown) in [
            ([0, 0, 0, 0], [255, 255, 255]),
            ([255, 255, 255, 0], [0, 0, 0]),
            ([0, 0, 0, 255], [0, 0, 0]),
            ([255, 0, 128, 64], [0, 191, 95]),
        ] {
            assert_eq!(from_inks(inks), shown, "{inks:?}");
        }
    }
}
