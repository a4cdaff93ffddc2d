//! Encoding raw pixels as a PNG file, the form that the rest of the program accepts.

use ::image::codecs::png::{CompressionType, FilterType, PngEncoder};
use ::image::{ExtendedColorType, ImageEncoder};

use super::ImageError;

/// Encodes `pixels`, `[height, width, channels]`, as a PNG file. `channels` is 1 (grey), 2 (grey
/// and alpha), 3 (RGB) or 4 (RGBA).
///
/// # Errors
/// [`ImageError::Pixels`] for another number of channels, for no pixels, and if the number of
/// bytes does not match the size.
pub fn png(width: u32, height: u32, channels: u32, pixels: &[u8]) -> Result<Vec<u8>, ImageError> {
    let invalid = |reason: String| ImageError::Pixels { reason };
    let colour = match channels {
        1 => ExtendedColorType::L8,
        2 => ExtendedColorType::La8,
        3 => ExtendedColorType::Rgb8,
        4 => ExtendedColorType::Rgba8,
        _ => {
            return Err(invalid(format!(
                "an image has 1 to 4 channels, not {channels}"
            )));
        }
    };
    let wanted = u64::from(width)
        .checked_mul(u64::from(height))
        .and_then(|size| size.checked_mul(u64::from(channels)));
    if wanted != Some(pixels.len() as u64) || pixels.is_empty() {
        return Err(invalid(format!(
            "{} bytes are not {width} × {height} pixels with {channels} channels",
            pixels.len()
        )));
    }
    let mut file = Vec::new();
    PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Adaptive)
        .write_image(pixels, width, height, colour)
        .map_err(|error| invalid(error.to_string()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_survive_a_round_trip() {
        let pixels = [0, 1, 2, 253, 254, 255];
        let file = png(2, 1, 3, &pixels).unwrap();
        let read = ::image::load_from_memory(&file).unwrap().into_rgb8();
        assert_eq!(read.dimensions(), (2, 1));
        assert_eq!(read.as_raw(), &pixels);
    }

    #[test]
    fn inconsistent_pixels_are_rejected() {
        for (width, height, channels) in [(2, 2, 3), (0, 0, 3), (2, 1, 5), (u32::MAX, u32::MAX, 4)]
        {
            assert!(png(width, height, channels, &[0; 6]).is_err());
        }
        assert!(png(0, 4, 3, &[]).is_err());
    }
}
