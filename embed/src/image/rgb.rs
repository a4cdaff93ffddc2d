//! Conversion of decoded images to 8-bit RGB.

use ::image::{DynamicImage, RgbImage};

/// The peak number of bytes per pixel during the conversion of an image with `channels` 8-bit
/// channels: the image itself, RGBA if it has alpha, and RGB.
pub(super) fn conversion_bytes(channels: u64) -> u64 {
    match channels {
        1 => 1 + 3,
        3 => 3,
        _ => 4 + 3,
    }
}

/// Rounds 16 bits to the nearest of 256 levels.
pub(super) fn to_8_bits(value: u16) -> u8 {
    // At most 255, since 65,535 is 255 × 257.
    ((u32::from(value) + 128) / 257) as u8
}

/// Composites the image over white, which removes its alpha channel.
pub(super) fn over_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = image.into_rgba8();
    let (width, height) = rgba.dimensions();
    let mut rgb = RgbImage::new(width, height);
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let [red, green, blue, alpha] = from.0;
        to.0 = [red, green, blue].map(|value| blend_with_white(value, alpha));
    }
    rgb
}

fn blend_with_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    let blended = (value * alpha + 255 * (255 - alpha) + 127) / 255;
    // At most 255, since it lies between `value` and 255.
    blended as u8
}

/// Converts cyan, magenta, yellow and black to red, green and blue with Pillow's arithmetic.
pub(super) fn from_cmyk([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
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

    #[test]
    fn cmyk_is_converted_as_pillow_does() {
        for (cmyk, rgb) in [
            ([0, 0, 0, 0], [255, 255, 255]),
            ([255, 255, 255, 0], [0, 0, 0]),
            ([0, 0, 0, 255], [0, 0, 0]),
            ([255, 0, 128, 64], [0, 191, 95]),
        ] {
            assert_eq!(from_cmyk(cmyk), rgb, "{cmyk:?}");
        }
    }
}
