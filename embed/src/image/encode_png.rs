//! Pixels that come as numbers, as a file that every other part of the program takes.

use ::image::codecs::png::{CompressionType, FilterType, PngEncoder};
use ::image::{ExtendedColorType, ImageEncoder};

use super::ImageError;

/// Writes `pixels`, row by row, as a PNG: `channels` is 1 (grey), 2 (with alpha), 3 (red,
/// green, blue) or 4 (with alpha).
///
/// # Errors
/// Another number of channels, no pixels, or not as many as the size says.
pub fn png(width: u32, height: u32, channels: u32, pixels: &[u8]) -> Result<Vec<u8>, ImageError> {
    let wrong = |reason: String| ImageError::Pixels { reason };
    let colour = match channels {
        1 => ExtendedColorType::L8,
        2 => ExtendedColorType::La8,
        3 => ExtendedColorType::Rgb8,
        4 => ExtendedColorType::Rgba8,
        _ => return Err(wrong(format!("there are 1 to 4 channels, not {channels}"))),
    };
    let wanted = u64::from(width)
        .checked_mul(u64::from(height))
        .and_then(|size| size.checked_mul(u64::from(channels)));
    if wanted != Some(pixels.len() as u64) || pixels.is_empty() {
        return Err(wrong(format!(
            "{} numbers do not make {width} × {height} pixels of {channels} channels",
            pixels.len()
        )));
    }
    let mut file = Vec::new();
    PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Adaptive)
        .write_image(pixels, width, height, colour)
        .map_err(|error| wrong(error.to_string()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_come_back() {
        let pixels = [0, 1, 2, 253, 254, 255];
        let file = png(2, 1, 3, &pixels).unwrap();
        let read = ::image::load_from_memory(&file).unwrap().into_rgb8();
        assert_eq!(read.dimensions(), (2, 1));
        assert_eq!(read.as_raw(), &pixels);
    }

    #[test]
    fn what_makes_no_picture_is_refused() {
        for (width, height, channels) in [(2, 2, 3), (0, 0, 3), (2, 1, 5), (u32::MAX, u32::MAX, 4)]
        {
            assert!(png(width, height, channels, &[0; 6]).is_err());
        }
        assert!(png(0, 4, 3, &[]).is_err());
    }
}
