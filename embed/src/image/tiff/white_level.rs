//! Samples whose white level the file does not define: floats, and grey with more bits than used.

use super::layout::{Layout, Photometric, SampleFormat};

/// Scales samples to bytes. The brightest value of a grey image determines its white level:
/// scientific software stores 8-bit data as floats or in 16 and 32 bits, and such an image would
/// be black otherwise. Pillow treats these files in the same way.
pub(super) fn levels(layout: &Layout<'_>, values: &[f32]) -> Vec<u8> {
    let kept = layout.kept();
    let range = range(layout);
    let white = match layout.photometric {
        Photometric::Grey {
            inverted: false, ..
        } => {
            let greys = values.iter().step_by(kept).copied();
            white(greys.fold(0.0, f32::max), range)
        }
        // In a colour image, values above white are highlights.
        _ => range,
    };
    let level = |value: f32, white: f32| (value / white).clamp(0.0, 1.0) * 255.0;
    // NaN becomes 0.
    let byte = |(place, value): (usize, &f32)| {
        let is_alpha = layout.is_alpha(place % kept);
        level(*value, if is_alpha { range } else { white }).round() as u8
    };
    values.iter().enumerate().map(byte).collect()
}

/// The largest value of the sample format; 1 for floats.
fn range(layout: &Layout<'_>) -> f32 {
    match layout.sample_format {
        SampleFormat::Float => 1.0,
        SampleFormat::Signed => 2.0_f32.powi(layout.bits as i32 - 1) - 1.0,
        SampleFormat::Unsigned => 2.0_f32.powi(layout.bits as i32) - 1.0,
    }
}

fn white(brightest: f32, range: f32) -> f32 {
    /// Floats slightly above 1 are highlights.
    const HIGHLIGHTS: f32 = 2.0;
    const BYTE: f32 = 255.0;
    const TWO_BYTES: f32 = 65_535.0;
    if range == 1.0 {
        return if brightest > HIGHLIGHTS { BYTE } else { range };
    }
    if brightest <= BYTE {
        BYTE
    } else if brightest <= TWO_BYTES {
        TWO_BYTES.min(range)
    } else {
        range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brightest_value_determines_white() {
        for (brightest, range, expected) in [
            (0.4, 1.0, 1.0),
            (1.5, 1.0, 1.0),
            (2.5, 1.0, 255.0),
            (900.0, 1.0, 255.0),
            (200.0, 65_535.0, 255.0),
            (256.0, 65_535.0, 65_535.0),
            (256.0, 4_095.0, 4_095.0),
            (100.0, 127.0, 255.0),
            (300.0, 4_294_967_295.0, 65_535.0),
            (70_000.0, 4_294_967_295.0, 4_294_967_295.0),
        ] {
            assert_eq!(white(brightest, range), expected, "{brightest} of {range}");
        }
    }
}
