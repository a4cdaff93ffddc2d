//! TIFF, which is a container: its directory here, what it packs by the crates and libraries that
//! know it, and its many kinds of pixels to 8 bits as Pillow shows them.
//!
//! Rows are unpacked one by one, so that a file takes little more memory than its image.

mod chunks;
mod container;
mod fax;
mod float;
mod layout;
mod levels;
mod luminance;
mod relative;
mod shown;

use ::image::metadata::Orientation;

use self::container::Directory;
use self::layout::{Layout, Meaning};
use super::budget::Budget;
use super::header::{Format, Opened};
use super::{ImageError, ImageLimits, header};

const NAME: &str = "TIFF";

/// For one row, whatever a file's header says.
const MOST_ROW_BYTES: u64 = 1 << 28;

/// Whether this is the variant with 64-bit offsets.
pub(super) fn is_big(bytes: &[u8]) -> bool {
    bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+")
}

pub(super) fn open<'a>(
    bytes: &'a [u8],
    format: Format,
    limits: &ImageLimits,
    budget: &'a Budget<'a>,
) -> Result<Opened<'a>, ImageError> {
    let directory = Directory::first(bytes)?;
    let layout = Layout::of(&directory)?;
    header::check_size(format, (layout.width, layout.height), limits)?;
    if layout.row_bytes() > MOST_ROW_BYTES {
        return Err(super::decode::too_much_memory(NAME));
    }
    let orientation = directory
        .number(container::ORIENTATION)
        .and_then(|value| Orientation::from_exif(value.min(255) as u8))
        .unwrap_or(Orientation::NoTransforms);
    let pixels = u64::from(layout.width) * u64::from(layout.height);
    let kept = layout.kept() as u64;
    let gathered = if layout.is_relative() { 5 * kept } else { kept };
    // A palette's numbers become colours before they are shown.
    let shown = match layout.meaning {
        Meaning::Palette { .. } => 2 + 4 + 3,
        _ => super::decode::shown_bytes(kept),
    };
    let sample_bytes = u64::from(layout.bits.div_ceil(8)) * layout.samples as u64;
    Ok(Opened {
        stored: (layout.width, layout.height),
        orientation,
        memory: pixels * gathered.max(shown) + layout.chunk_memory(),
        expected_ns: pixels * (6 + 5 * sample_bytes) + 2_000 * layout.chunks.len() as u64,
        decode: Box::new(move || {
            let size = (layout.width, layout.height);
            if let Meaning::WholeJpeg(jpeg) = layout.meaning {
                let components = super::jpeg::Components::AsMarked;
                let (facts, samples) =
                    super::jpeg::samples(NAME, &[], jpeg, components, pixels, budget)?;
                if (facts.width, facts.height) != size {
                    return Err(damaged("the JPEG in it has another size"));
                }
                return shown::of_jpeg(size, samples).ok_or_else(|| damaged("it has no pixels"));
            }
            let levels = levels::read(&layout, budget)?;
            shown::image(&layout, levels).ok_or_else(|| damaged("it has no pixels"))
        }),
    })
}

fn damaged(reason: impl Into<String>) -> ImageError {
    ImageError::Damaged {
        format: NAME,
        reason: reason.into(),
    }
}

fn unsupported(reason: impl Into<String>) -> ImageError {
    ImageError::Unsupported {
        format: NAME,
        reason: reason.into(),
    }
}

const TRUNCATED: ImageError = ImageError::Truncated { format: NAME };
