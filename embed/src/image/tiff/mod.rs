//! TIFF. The directory is parsed here, compressed data is unpacked by other crates and libraries,
//! and the many pixel formats are converted to 8 bits as Pillow does.
//!
//! Rows are unpacked one by one, so a file takes little more memory than its image.

mod chunks;
mod directory;
mod error;
mod fax;
mod float;
mod layout;
mod samples;
mod to_image;
mod white_level;
mod ycbcr;

use ::image::metadata::Orientation;

use self::directory::{Directory, ORIENTATION};
use self::error::{NAME, corrupt};
use self::layout::{Layout, Photometric};
use super::budget::Budget;
use super::error::too_much_memory;
use super::format::Format;
use super::header::{OpenedImage, check_size};
use super::{ImageError, ImageLimits, jpeg, rgb};

/// The limit on the size of one row.
const MOST_ROW_BYTES: u64 = 1 << 28;

pub(super) fn open<'a>(
    bytes: &'a [u8],
    format: Format,
    limits: &ImageLimits,
    budget: &'a Budget<'a>,
) -> Result<OpenedImage<'a>, ImageError> {
    let directory = Directory::first(bytes)?;
    let layout = Layout::of(&directory)?;
    check_size(format, (layout.width, layout.height), limits)?;
    if layout.row_bytes() > MOST_ROW_BYTES {
        return Err(too_much_memory(NAME));
    }
    let orientation = directory
        .number(ORIENTATION)
        .and_then(|value| Orientation::from_exif(value.min(255) as u8))
        .unwrap_or(Orientation::NoTransforms);
    let pixels = u64::from(layout.width) * u64::from(layout.height);
    let kept = layout.kept() as u64;
    let gathered = if layout.is_relative() { 5 * kept } else { kept };
    // Palette indices become colours before the conversion to RGB.
    let converting = match layout.photometric {
        Photometric::Palette { .. } => 2 + 4 + 3,
        _ => rgb::conversion_bytes(kept),
    };
    let sample_bytes = u64::from(layout.bits.div_ceil(8)) * layout.samples as u64;
    Ok(OpenedImage {
        stored: (layout.width, layout.height),
        orientation,
        memory: pixels * gathered.max(converting) + layout.chunk_memory(),
        expected_ns: pixels * (6 + 5 * sample_bytes) + 2_000 * layout.chunks.len() as u64,
        decode: Box::new(move || {
            let size = (layout.width, layout.height);
            if let Photometric::EmbeddedJpeg(file) = layout.photometric {
                let components = jpeg::Components::AsMarked;
                let (header, samples) = jpeg::samples(NAME, &[], file, components, pixels, budget)?;
                if (header.width, header.height) != size {
                    return Err(corrupt("the embedded JPEG has another size"));
                }
                return to_image::from_jpeg(size, samples)
                    .ok_or_else(|| corrupt("it has no pixels"));
            }
            let levels = samples::read(&layout, budget)?;
            to_image::convert(&layout, levels).ok_or_else(|| corrupt("it has no pixels"))
        }),
    })
}
