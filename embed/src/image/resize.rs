//! Pillow's resampling, bit for bit: antialiased filters that widen with the reduction, 22-bit
//! weights, 8 bits between the two passes, and the order of the passes as in Pillow 13.
//!
//! Only the requested region is computed, so an image of 1 × 60,000 pixels costs no more than
//! its crop. General-purpose resizing crates compile every filter for every instruction set and
//! still differ from Pillow by a level or two.

use std::ops::Range;

use super::filter::Filter;

/// A rectangle of the resized image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub left: u64,
    pub top: u64,
    pub width: u32,
    pub height: u32,
}

/// An image in row-major order with `N` bytes per pixel.
pub(super) struct Raster<'a> {
    pub width: u32,
    pub height: u32,
    pub data: &'a [u8],
}

/// Computes the region `part` of `source` resized to `full` (width, height). `part` must lie
/// within `full`.
pub(super) fn resize_part<const N: usize>(
    source: &Raster<'_>,
    full: (u64, u64),
    part: Region,
    filter: Filter,
) -> Vec<u8> {
    let across = Weights::new(source.width, full.0, part.left, part.width, filter);
    let down = Weights::new(source.height, full.1, part.top, part.height, filter);
    let (columns, rows) = (across.reach(), down.reach());
    let width = source.width as usize;
    let shrinks_by = |from: u32, to: u64| i128::from(from) - i128::from(to);
    let (narrower, shorter) = (
        shrinks_by(source.width, full.0),
        shrinks_by(source.height, full.1),
    );
    // The intermediate image is rounded to 8 bits, so the order of the passes affects the result.
    let rows_first = shorter <= 0 || shorter <= 2 * narrower;
    if rows_first {
        let between = resize_rows::<N>(source.data, width, rows.clone(), &across);
        resize_columns::<N>(
            &between,
            part.width as usize,
            0..part.width as usize,
            rows.start,
            &down,
        )
    } else {
        let between = resize_columns::<N>(source.data, width, columns.clone(), 0, &down);
        let all = 0..part.height as usize;
        resize_rows::<N>(&between, columns.len(), all, &across.after(columns.start))
    }
}

/// Resizes `rows` of an image that is `width` pixels wide horizontally.
fn resize_rows<const N: usize>(
    data: &[u8],
    width: usize,
    rows: Range<usize>,
    across: &Weights,
) -> Vec<u8> {
    let mut result = Vec::with_capacity(rows.len() * across.taps.len() * N);
    for row in data[rows.start * width * N..rows.end * width * N].chunks_exact(width * N) {
        let (pixels, _) = row.as_chunks::<N>();
        for tap in &across.taps {
            let mut sums = [HALF; N];
            let weights = across.of(tap);
            for (pixel, weight) in pixels[tap.start..].iter().zip(weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * weight;
                }
            }
            result.extend(sums.map(level));
        }
    }
    result
}

/// Resizes `columns` of an image that is `width` pixels wide vertically. The first row of `data`
/// is row `first` of the source.
fn resize_columns<const N: usize>(
    data: &[u8],
    width: usize,
    columns: Range<usize>,
    first: usize,
    down: &Weights,
) -> Vec<u8> {
    let mut result = Vec::with_capacity(down.taps.len() * columns.len() * N);
    let mut sums = vec![HALF; columns.len() * N];
    for tap in &down.taps {
        sums.fill(HALF);
        for (place, weight) in (tap.start - first..).zip(down.of(tap)) {
            let row = &data[(place * width + columns.start) * N..][..sums.len()];
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        result.extend(sums.iter().copied().map(level));
    }
    result
}

/// Weights are fixed-point numbers with 22 fractional bits, so that a weighted sum of 8-bit values
/// fits 32 bits.
const PRECISION: u32 = 22;
const HALF: i32 = 1 << (PRECISION - 1);

fn level(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// The source pixels and their weights for each resulting pixel along one axis.
struct Weights {
    taps: Vec<Tap>,
    values: Vec<i32>,
}

struct Tap {
    /// The first source pixel.
    start: usize,
    /// The range of its weights in `values`.
    weights: Range<usize>,
}

impl Weights {
    /// Computes the weights of `length` pixels from `start` on, along an axis that is scaled from
    /// `source` to `full` pixels.
    fn new(source: u32, full: u64, start: u64, length: u32, filter: Filter) -> Self {
        let scale = f64::from(source) / full as f64;
        let widening = scale.max(1.0);
        let support = filter.support() * widening;
        let mut taps = Vec::with_capacity(length as usize);
        let mut values = Vec::new();
        let mut shares = Vec::new();
        for place in start..start + u64::from(length) {
            let centre = (place as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let last = ((centre + support + 0.5) as usize).min(source as usize);
            shares.clear();
            shares.extend(
                (first..last)
                    .map(|pixel| filter.weight((pixel as f64 - centre + 0.5) * (1.0 / widening))),
            );
            let total: f64 = shares.iter().sum();
            let begin = values.len();
            values.extend(shares.iter().map(|share| {
                // `round` rounds half away from zero, as Pillow does.
                (share / total * f64::from(1 << PRECISION)).round() as i32
            }));
            taps.push(Tap {
                start: first,
                weights: begin..values.len(),
            });
        }
        Self { taps, values }
    }

    fn of(&self, tap: &Tap) -> &[i32] {
        &self.values[tap.weights.clone()]
    }

    /// The range of source pixels that the result depends on.
    fn reach(&self) -> Range<usize> {
        let start = self.taps.iter().map(|tap| tap.start).min();
        let end = self
            .taps
            .iter()
            .map(|tap| tap.start + tap.weights.len())
            .max();
        start.unwrap_or(0)..end.unwrap_or(0)
    }

    /// The same weights with source pixels counted from `first`.
    fn after(mut self, first: usize) -> Self {
        for tap in &mut self.taps {
            tap.start -= first;
        }
        self
    }
}
