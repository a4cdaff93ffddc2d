//! From packed rows to one byte per sample, the samples of a pixel side by side.

use std::io::{ErrorKind, Read};

use super::container::Order;
use super::layout::{Layout, Meaning, Numbers, Predictor};
use super::{ImageError, NAME, TRUNCATED, chunks, damaged, float, luminance, relative};
use crate::image::budget::Budget;
use crate::image::decode;

/// The first [`Layout::kept`] samples of every pixel.
pub(super) fn read(layout: &Layout<'_>, budget: &Budget<'_>) -> Result<Vec<u8>, ImageError> {
    let kept = layout.kept();
    let count = layout.width as usize * layout.height as usize * kept;
    if layout.is_relative() {
        let mut values = vec![0.0_f32; count];
        let mut unpacked = Vec::new();
        each_row(layout, budget, |row, place| {
            if layout.is_float() {
                unpacked = float::values(layout, row);
            } else {
                unpacked.clear();
                each_number(layout, row, |value| unpacked.push(number(layout, value)));
            }
            place.fill(&mut values, &unpacked);
        })?;
        return Ok(relative::levels(layout, &values));
    }
    let mut levels = vec![0; count];
    let mut unpacked = Vec::new();
    each_row(layout, budget, |row, place| {
        unpack(layout, row, &mut unpacked);
        place.fill(&mut levels, &unpacked);
    })?;
    Ok(levels)
}

/// Where a chunk's row goes.
struct Place {
    /// The first pixel's number in the image.
    pixel: usize,
    /// Pixels of the row that are in the image.
    length: usize,
    /// Samples of a pixel in the row, and in the image.
    samples: usize,
    kept: usize,
    /// The sample that the row has alone.
    plane: usize,
}

impl Place {
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

/// Calls `take` with every row of every chunk that holds a sample of use.
fn each_row(
    layout: &Layout<'_>,
    budget: &Budget<'_>,
    mut take: impl FnMut(&mut [u8], &Place),
) -> Result<(), ImageError> {
    let across = layout.width.div_ceil(layout.chunk_width);
    let down = layout.height.div_ceil(layout.chunk_height);
    let per_plane = across as usize * down as usize;
    let planes = if layout.planar { layout.kept() } else { 1 };
    let row_bytes =
        usize::try_from(layout.row_bytes()).map_err(|_| decode::too_much_memory(NAME))?;
    let mut row = vec![0; row_bytes];
    // Of which a row of the file holds one, or several where they share colours.
    let rows_together = if layout.is_subsampled() {
        layout.subsampling.1
    } else {
        1
    };
    for plane in 0..planes {
        for number in 0..per_plane {
            budget.check(NAME)?;
            let (column, line) = (number as u32 % across, number as u32 / across);
            let (left, top) = (column * layout.chunk_width, line * layout.chunk_height);
            // A strip ends with the image, a tile does not.
            let in_image = layout.chunk_height.min(layout.height - top);
            let chunk = layout
                .chunks
                .get(plane * per_plane + number)
                .ok_or(TRUNCATED)?;
            let mut reader = chunks::reader(layout, chunk, in_image, budget)?;
            for below in (0..in_image).step_by(rows_together as usize) {
                reader
                    .read_exact(&mut row)
                    .map_err(|error| match error.kind() {
                        ErrorKind::UnexpectedEof => TRUNCATED,
                        _ => damaged(error.to_string()),
                    })?;
                let place = |below: u32| Place {
                    pixel: (top + below) as usize * layout.width as usize + left as usize,
                    length: layout.chunk_width.min(layout.width - left) as usize,
                    samples: layout.chunk_samples(),
                    kept: layout.kept(),
                    plane,
                };
                if layout.is_subsampled() {
                    for (inner, mut spread) in
                        luminance::spread(layout, &row).into_iter().enumerate()
                    {
                        let below = below + inner as u32;
                        if below < in_image {
                            take(&mut spread, &place(below));
                        }
                    }
                } else {
                    take(&mut row, &place(below));
                }
            }
        }
    }
    Ok(())
}

/// One byte for each of a row's samples. A palette's numbers stay as they are.
fn unpack(layout: &Layout<'_>, row: &mut [u8], levels: &mut Vec<u8>) {
    levels.clear();
    if layout.bits == 8 && layout.predictor == Predictor::None {
        levels.extend_from_slice(row);
        return;
    }
    let numbered = matches!(layout.meaning, Meaning::Palette { .. });
    each_number(layout, row, |value| {
        let value = if numbered {
            value.min(255) as u8
        } else {
            scale(value, layout.bits)
        };
        levels.push(value);
    });
}

/// Calls `take` with the bits of each of a row's samples.
fn each_number(layout: &Layout<'_>, row: &[u8], mut take: impl FnMut(u64)) {
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

/// What a sample's bits stand for.
fn number(layout: &Layout<'_>, bits: u64) -> f32 {
    match layout.numbers {
        Numbers::Signed => {
            let unused = 64 - layout.bits;
            ((bits << unused) as i64 >> unused) as f32
        }
        _ => bits as f32,
    }
}

/// `bits` of them, less than 64, from the bit `at` on, the highest first.
fn bits_at(row: &[u8], at: usize, bits: usize) -> u64 {
    let bytes = &row[at / 8..(at + bits).div_ceil(8)];
    let value = Order::Big.number(&bytes[..bytes.len().min(8)]);
    let behind = (bytes.len() * 8).min(64) - at % 8 - bits.min(64 - at % 8);
    value >> behind & (u64::MAX >> (64 - bits))
}

/// From 0 to 2^`bits` − 1 to a byte, rounded.
fn scale(value: u64, bits: u32) -> u8 {
    let most = u64::MAX >> (64 - bits.clamp(1, 64));
    // At most 255, as `value` is at most `most`.
    ((u128::from(value) * 255 + u128::from(most) / 2) / u128::from(most)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_cut_from_anywhere() {
        let row = [0b1010_0101, 0b1100_0011, 0b1111_0000];
        assert_eq!(bits_at(&row, 0, 1), 1);
        assert_eq!(bits_at(&row, 4, 4), 0b0101);
        assert_eq!(bits_at(&row, 6, 12), 0b0111_0000_1111);
        assert_eq!(bits_at(&row, 14, 10), 0b11_1111_0000);
    }

    #[test]
    fn every_depth_ends_at_white() {
        for bits in [1, 2, 4, 8, 12, 16, 31, 32, 63, 64] {
            let most = u64::MAX >> (64 - bits);
            assert_eq!((scale(0, bits), scale(most, bits)), (0, 255), "{bits}");
        }
        assert_eq!(scale(0x8000, 16), 128);
    }
}
