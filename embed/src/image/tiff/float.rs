//! Floating-point samples.

use half::f16;

use super::directory::ByteOrder;
use super::layout::{Layout, Predictor};

/// Decodes the samples of a chunk's row.
pub(super) fn values(layout: &Layout<'_>, row: &mut [u8]) -> Vec<f32> {
    let length = layout.bits as usize / 8;
    let samples = layout.chunk_samples();
    match layout.predictor {
        Predictor::Float => {
            for place in samples..row.len() {
                row[place] = row[place].wrapping_add(row[place - samples]);
            }
            // Bytes of equal significance are stored together, the most significant first.
            let count = row.len() / length;
            let bytes = |number: usize| -> Vec<u8> {
                (0..length).map(|byte| row[byte * count + number]).collect()
            };
            (0..count)
                .map(|number| value(ByteOrder::Big.number(&bytes(number)), length))
                .collect()
        }
        predictor => {
            let mut before = vec![0_u64; samples];
            let values = row.chunks_exact(length).enumerate().map(|(place, bytes)| {
                let mut bits = layout.order.number(bytes);
                if predictor == Predictor::Horizontal {
                    let before = &mut before[place % samples];
                    bits = bits.wrapping_add(*before) & (u64::MAX >> (64 - layout.bits));
                    *before = bits;
                }
                value(bits, length)
            });
            values.collect()
        }
    }
}

fn value(bits: u64, length: usize) -> f32 {
    match length {
        2 => f16::from_bits(bits as u16).to_f32(),
        // 7 bits of exponent, 16 of fraction.
        3 => {
            let (sign, exponent) = (bits >> 23 & 1, bits >> 16 & 0x7F);
            let fraction = (bits & 0xFFFF) as f32 / 65_536.0;
            let size = match exponent {
                0 => fraction * 2.0_f32.powi(-62),
                exponent => (1.0 + fraction) * 2.0_f32.powi(exponent as i32 - 63),
            };
            if sign == 1 { -size } else { size }
        }
        4 => f32::from_bits(bits as u32),
        _ => f64::from_bits(bits) as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_is_read() {
        assert_eq!(value(0x3C00, 2), 1.0);
        assert_eq!(value(0x3F_0000, 3), 1.0);
        assert_eq!(value(0xBE_8000, 3), -0.75);
        assert_eq!(value(u64::from(0.25_f32.to_bits()), 4), 0.25);
        assert_eq!(value(0.25_f64.to_bits(), 8), 0.25);
    }
}
