//! Matrices whose numbers are stored in 4 or 8 bits.
//!
//! A matrix `NAME` of `[rows, columns]` is one of:
//! - `NAME.q4`, u8 `[rows, columns / 32, 16]`, and `NAME.scale`, f16 `[rows, columns / 32]`: blocks of 32
//!   numbers along a row, `(code - 8) · scale`. Byte j has number j in its low half and number j + 16
//!   in its high half (GGML's Q4_0).
//! - `NAME.q8`, i8 `[rows, columns]`, and the same scales: `code · scale`.
//! - `NAME.u8`, u8 `[rows, columns]`, with `NAME.step` and `NAME.low`, f32 `[rows]`: `code · step + low`.

use std::borrow::Cow;

use half::f16;
use safetensors::tensor::Dtype;

use super::Weights;
use crate::EmbedError;

const BLOCK: usize = 32;
const F16: usize = 2;
const F32: usize = 4;

/// A matrix in the form in which it is stored. Of a bundled model it stays in the binary, and only the
/// pages of rows that are read take memory.
pub(crate) struct CompactMatrix {
    numbers: Numbers,
    rows: usize,
    columns: usize,
}

enum Numbers {
    FourBits {
        codes: Bytes,
        scales: Bytes,
    },
    EightBits {
        codes: Bytes,
        scales: Bytes,
    },
    SteppedBytes {
        codes: Bytes,
        steps: Bytes,
        lows: Bytes,
    },
}

type Bytes = Cow<'static, [u8]>;

impl CompactMatrix {
    /// `None` if the checkpoint has no matrix of this name in a compact form.
    pub fn read(
        weights: &Weights,
        name: &str,
        shape: [i64; 2],
    ) -> Result<Option<Self>, EmbedError> {
        let [rows, columns] = shape;
        let blocks = columns / BLOCK as i64;
        let part = |end: &str, dtype, shape: &[i64]| {
            weights.bytes(&format!("{name}.{end}"), &[dtype], shape)
        };
        let has = |end: &str| weights.find(&format!("{name}.{end}")).is_some();
        let scales = || part("scale", Dtype::F16, &[rows, blocks]);
        let numbers = if has("q4") {
            Numbers::FourBits {
                codes: part("q4", Dtype::U8, &[rows, blocks, BLOCK as i64 / 2])?,
                scales: scales()?,
            }
        } else if has("q8") {
            Numbers::EightBits {
                codes: part("q8", Dtype::I8, &[rows, columns])?,
                scales: scales()?,
            }
        } else if has("u8") {
            Numbers::SteppedBytes {
                codes: part("u8", Dtype::U8, &[rows, columns])?,
                steps: part("step", Dtype::F32, &[rows])?,
                lows: part("low", Dtype::F32, &[rows])?,
            }
        } else {
            return Ok(None);
        };
        let is_in_blocks = !matches!(numbers, Numbers::SteppedBytes { .. });
        if rows < 1 || columns < 1 || is_in_blocks && blocks * BLOCK as i64 != columns {
            let reason = format!("{rows} rows of {columns} numbers are not blocks of {BLOCK}");
            return Err(weights.invalid(name, &reason));
        }
        weights.add_parameters((rows * columns).unsigned_abs());
        Ok(Some(Self {
            numbers,
            // Shapes that a file has fit usize.
            rows: usize::try_from(rows).unwrap_or(0),
            columns: usize::try_from(columns).unwrap_or(0),
        }))
    }

    /// Appends the numbers of a row to `out`. Returns false for a row that the matrix does not have.
    #[must_use]
    pub fn append_row(&self, row: usize, out: &mut Vec<f32>) -> bool {
        if row >= self.rows {
            return false;
        }
        let columns = self.columns;
        match &self.numbers {
            Numbers::FourBits { codes, scales } => {
                let codes = part(codes, row, columns / 2).chunks_exact(BLOCK / 2);
                for (codes, scale) in codes.zip(halves(scales, row, columns / BLOCK)) {
                    let number = |code: u8| (f32::from(code) - 8.0) * scale;
                    out.extend(codes.iter().map(|pair| number(pair & 15)));
                    out.extend(codes.iter().map(|pair| number(pair >> 4)));
                }
            }
            Numbers::EightBits { codes, scales } => {
                let codes = part(codes, row, columns).chunks_exact(BLOCK);
                for (codes, scale) in codes.zip(halves(scales, row, columns / BLOCK)) {
                    out.extend(
                        codes
                            .iter()
                            .map(|code| f32::from(code.cast_signed()) * scale),
                    );
                }
            }
            Numbers::SteppedBytes { codes, steps, lows } => {
                let (step, low) = (single(steps, row), single(lows, row));
                let codes = part(codes, row, columns);
                out.extend(codes.iter().map(|code| f32::from(*code) * step + low));
            }
        }
        true
    }

    /// All rows, one after another.
    pub fn to_dense(&self) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(self.rows * self.columns);
        for row in 0..self.rows {
            let appended = self.append_row(row, &mut numbers);
            debug_assert!(appended);
        }
        numbers
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }
}

/// The bytes of a row.
fn part(bytes: &[u8], row: usize, length: usize) -> &[u8] {
    &bytes[row * length..(row + 1) * length]
}

/// The f16 numbers of a row.
fn halves(bytes: &[u8], row: usize, count: usize) -> impl Iterator<Item = f32> {
    let (pairs, _) = part(bytes, row, count * F16).as_chunks::<F16>();
    pairs.iter().map(|pair| f16::from_le_bytes(*pair).to_f32())
}

/// The f32 number of a row.
fn single(bytes: &[u8], row: usize) -> f32 {
    let (numbers, _) = part(bytes, row, F32).as_chunks::<F32>();
    numbers
        .first()
        .map_or(0.0, |number| f32::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(numbers: Numbers, columns: usize) -> CompactMatrix {
        CompactMatrix {
            numbers,
            rows: 2,
            columns,
        }
    }

    fn of_halves(numbers: &[f32]) -> Bytes {
        let bytes = numbers
            .iter()
            .flat_map(|it| f16::from_f32(*it).to_le_bytes());
        bytes.collect::<Vec<u8>>().into()
    }

    fn row(matrix: &CompactMatrix, number: usize) -> Vec<f32> {
        let mut found = Vec::new();
        assert!(matrix.append_row(number, &mut found));
        found
    }

    #[test]
    fn four_bits_are_less_eight_times_the_scale_of_their_block() {
        let mut codes = vec![0x88; 32];
        // Row 1: number 0 has code 15, number 16 has code 0.
        codes[16] = 0x0f;
        let scales = of_halves(&[1.0, 0.5]);
        let matrix = matrix(
            Numbers::FourBits {
                codes: codes.into(),
                scales,
            },
            32,
        );
        assert_eq!(row(&matrix, 0), [0.0; 32]);
        let found = row(&matrix, 1);
        assert_eq!((found[0], found[16]), (3.5, -4.0));
        assert_eq!(found.iter().filter(|number| **number != 0.0).count(), 2);
        assert_eq!(matrix.to_dense().len(), 64);
    }

    #[test]
    fn eight_bits_have_a_sign() {
        let mut codes = vec![0; 128];
        codes[64] = 255;
        codes[64 + 63] = 127;
        let scales = of_halves(&[1.0, 1.0, 0.25, 2.0]);
        let matrix = matrix(
            Numbers::EightBits {
                codes: codes.into(),
                scales,
            },
            64,
        );
        let found = row(&matrix, 1);
        assert_eq!((found[0], found[63]), (-0.25, 254.0));
    }

    #[test]
    fn bytes_have_a_step_and_an_offset_for_each_row() {
        let of = |numbers: [f32; 2]| -> Bytes {
            let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
            bytes.collect::<Vec<u8>>().into()
        };
        let numbers = Numbers::SteppedBytes {
            codes: vec![0, 1, 2, 255].into(),
            steps: of([1.0, 0.5]),
            lows: of([0.0, -1.0]),
        };
        let matrix = matrix(numbers, 2);
        assert_eq!(row(&matrix, 0), [0.0, 1.0]);
        assert_eq!(row(&matrix, 1), [0.0, 126.5]);
        assert!(!matrix.append_row(2, &mut Vec::new()));
    }
}
