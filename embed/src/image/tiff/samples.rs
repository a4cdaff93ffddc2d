//! Unpacking rows to one byte per sample, interleaved by pixel.

use std::io::{ErrorKind, Read};

use super::directory::ByteOrder;
use super::error::{NAME, TRUNCATED, corrupt};
use super::layout::{Layout, Photometric, Predictor, SampleFormat};
use super::{chunks, float, white_level, ycbcr};
use crate::image::ImageError;
use crate::image::budget::Budget;
use crate::image::error::too_much_memory;

/// Reads the first [`Layout::kept`] samples of every pixel.
pub(super) fn read(layout: &Layout<'_>, budget: &Budget<'_>) -> Result<Vec<u8>, ImageError> {
    let kept = layout.kept();
    let count = layout.width as usize * layout.height as usize * kept;
    if layout.is_relative() {
        let mut values = vec![0.0_f32; count];
        let mut unpacked = Vec::new();
        each_row(layout, budget, |row, target| {
            if layout.is_float() {
                unpacked = float::values(layout, row);
            } else {
                unpacked.clear();
                each_sample(layout, row, |value| unpacked.push(value_of(layout, value)));
            }
            target.fill(&mut values, &unpacked);
        })?;
        return Ok(white_level::levels(layout, &values));
    }
    let mut levels = vec![0; count];
    let mut unpacked = Vec::new();
    each_row(layout, budget, |row, target| {
        unpack(layout, row, &mut unpacked);
        target.fill(&mut levels, &unpacked);
    })?;
    Ok(levels)
}

/// The position of a chunk's row in the image.
struct RowTarget {
    /// The index of the first pixel in the image.
    pixel: usize,
    /// Pixels of the row that lie within the image.
    length: usize,
    /// Samples per pixel in the row.
    samples: usize,
    /// Samples per pixel in the image.
    kept: usize,
    /// The index of the row's first sample in a pixel.
    plane: usize,
}

impl RowTarget {
    fn fill<T: Copy>(&self, image: &mut [T], row: &[T]) {
        let pixels = image[self.pixel * self.kept..]
            .chunks_exact_mut(self.kept)
            .take(self.length);
        let copied = self.samples.min(self.kept);
        for (to, from) in pixels.zip(row.chunks_exact(self.samples)) {
            to[self.plane..self.plane + copied].copy_from_slice(&from[..copied]);
        }
    }
}

/// Calls `take` with every row of every chunk that has a used sample.
fn each_row(
    layout: &Layout<'_>,
    budget: &Budget<'_>,
    mut take: impl FnMut(&mut [u8], &RowTarget),
) -> Result<(), ImageError> {
    let row_bytes = usize::try_from(layout.row_bytes()).map_err(|_| too_much_memory(NAME))?;
    let mut row = vec![0; row_bytes];
    let across = layout.width.div_ceil(layout.chunk_width);
    let down = layout.height.div_ceil(layout.chunk_height);
    let planes = if layout.planar { layout.kept() } else { 1 };
    let mut chunks = layout.chunks.iter();
    for plane in 0..planes {
        for (line, column) in (0..down).flat_map(|line| (0..across).map(move |it| (line, it))) {
            budget.check(NAME)?;
            let chunk = ChunkPlace {
                layout,
                left: column * layout.chunk_width,
                top: line * layout.chunk_height,
                plane,
            };
            let bytes = chunks.next().ok_or(TRUNCATED)?;
            chunk.each_row(bytes, budget, &mut row, &mut take)?;
        }
    }
    Ok(())
}

/// The position of a chunk in the image.
struct ChunkPlace<'a> {
    layout: &'a Layout<'a>,
    left: u32,
    top: u32,
    plane: usize,
}

impl ChunkPlace<'_> {
    /// `row` is a buffer for one row of the file.
    fn each_row(
        &self,
        chunk: &[u8],
        budget: &Budget<'_>,
        row: &mut [u8],
        take: &mut impl FnMut(&mut [u8], &RowTarget),
    ) -> Result<(), ImageError> {
        let layout = self.layout;
        // A strip ends with the image, a tile may extend past it.
        let in_image = layout.chunk_height.min(layout.height - self.top);
        let mut reader = chunks::reader(layout, chunk, in_image, budget)?;
        if !layout.is_subsampled() {
            for below in 0..in_image {
                read_row(&mut *reader, row)?;
                take(row, &self.target(below));
            }
            return Ok(());
        }
        // A row of the file holds several rows of the image.
        for first in (0..in_image).step_by(layout.subsampling.1 as usize) {
            read_row(&mut *reader, row)?;
            let rows = ycbcr::spread(layout, row);
            for (below, mut spread) in (first..in_image).zip(rows) {
                take(&mut spread, &self.target(below));
            }
        }
        Ok(())
    }

    /// The target of the row `below` rows from the top of the chunk.
    fn target(&self, below: u32) -> RowTarget {
        let layout = self.layout;
        let first = (self.top + below) as usize * layout.width as usize;
        RowTarget {
            pixel: first + self.left as usize,
            length: layout.chunk_width.min(layout.width - self.left) as usize,
            samples: layout.chunk_samples(),
            kept: layout.kept(),
            plane: self.plane,
        }
    }
}

fn read_row(reader: &mut dyn Read, row: &mut [u8]) -> Result<(), ImageError> {
    reader.read_exact(row).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => TRUNCATED,
        _ => corrupt(error.to_string()),
    })
}

/// Converts each sample of a row to one byte. Palette indices are not scaled.
fn unpack(layout: &Layout<'_>, row: &[u8], levels: &mut Vec<u8>) {
    levels.clear();
    if layout.bits == 8 && layout.predictor == Predictor::None {
        levels.extend_from_slice(row);
        return;
    }
    let indexed = matches!(layout.photometric, Photometric::Palette { .. });
    each_sample(layout, row, |value| {
        let value = if indexed {
            value.min(255) as u8
        } else {
            scale(value, layout.bits)
        };
        levels.push(value);
    });
}

/// Calls `take` with the bits of each sample of a row.
fn each_sample(layout: &Layout<'_>, row: &[u8], mut take: impl FnMut(u64)) {
    let samples = layout.chunk_samples();
    let bits = layout.bits;
    if !bits.is_multiple_of(8) {
        let count = layout.chunk_width as usize * samples;
        for number in 0..count {
            take(bits_at(row, number * bits as usize, bits as usize));
        }
        return;
    }
    let mut before = vec![0_u64; samples];
    for (place, bytes) in row.chunks_exact(bits as usize / 8).enumerate() {
        let mut value = layout.order.number(bytes);
        if layout.predictor == Predictor::Horizontal {
            let before = &mut before[place % samples];
            value = value.wrapping_add(*before) & (u64::MAX >> (64 - bits));
            *before = value;
        }
        take(value);
    }
}

/// The value of a sample.
fn value_of(layout: &Layout<'_>, bits: u64) -> f32 {
    match layout.sample_format {
        SampleFormat::Signed => {
            let unused = 64 - layout.bits;
            ((bits << unused) as i64 >> unused) as f32
        }
        _ => bits as f32,
    }
}

/// Reads `bits` bits, fewer than 64, from the bit `at` on. The highest bit of a byte comes first.
fn bits_at(row: &[u8], at: usize, bits: usize) -> u64 {
    let bytes = &row[at / 8..(at + bits).div_ceil(8)];
    let value = ByteOrder::Big.number(&bytes[..bytes.len().min(8)]);
    let behind = (bytes.len() * 8).min(64) - at % 8 - bits.min(64 - at % 8);
    value >> behind & (u64::MAX >> (64 - bits))
}

/// Scales 0 to 2^`bits` − 1 to a byte, rounded.
fn scale(value: u64, bits: u32) -> u8 {
    let most = u64::MAX >> (64 - bits.clamp(1, 64));
    // At most 255, as `value` is at most `most`.
    ((u128::from(value) * 255 + u128::from(most) / 2) / u128::from(most)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_at_any_offset() {
        let row = [0b1010_0101, 0b1100_0011, 0b1111_0000];
        assert_eq!(bits_at(&row, 0, 1), 1);
        assert_eq!(bits_at(&row, 4, 4), 0b0101);
        assert_eq!(bits_at(&row, 6, 12), 0b0111_0000_1111);
        assert_eq!(bits_at(&row, 14, 10), 0b11_1111_0000);
    }

    #[test]
    fn the_largest_value_of_every_depth_is_white() {
        for bits in [1, 2, 4, 8, 12, 16, 31, 32, 63, 64] {
            let most = u64::MAX >> (64 - bits);
            assert_eq!((scale(0, bits), scale(most, bits)), (0, 255), "{bits}");
        }
        assert_eq!(scale(0x8000, 16), 128);
    }
}
