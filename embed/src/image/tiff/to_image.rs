//! Conversion of 8-bit samples to an image.

use ::image::{DynamicImage, ImageBuffer};

use super::layout::{Alpha, Compression, Layout, Photometric};
use super::ycbcr;
use crate::image::rgb::from_cmyk;

/// Converts `levels`, which has [`Layout::kept`] samples per pixel.
pub(super) fn convert(layout: &Layout<'_>, mut levels: Vec<u8>) -> Option<DynamicImage> {
    let (width, height) = (layout.width, layout.height);
    let rgb = |levels| ImageBuffer::from_raw(width, height, levels).map(DynamicImage::ImageRgb8);
    match &layout.photometric {
        Photometric::Grey { alpha, inverted } => {
            let step = layout.kept();
            if *inverted {
                for grey in levels.iter_mut().step_by(step) {
                    *grey = 255 - *grey;
                }
            }
            if *alpha == Alpha::None {
                let grey = ImageBuffer::from_raw(width, height, levels);
                return grey.map(DynamicImage::ImageLuma8);
            }
            divide(&mut levels, step, *alpha);
            ImageBuffer::from_raw(width, height, levels).map(DynamicImage::ImageLumaA8)
        }
        Photometric::Palette { colours, alpha } => {
            let colour = |index: u8| colours.get(usize::from(index)).copied().unwrap_or_default();
            if *alpha == Alpha::None {
                return rgb(levels.into_iter().flat_map(colour).collect());
            }
            let pixels = levels.as_chunks::<2>().0.iter();
            let rgba = pixels.flat_map(|[index, alpha]| {
                let [red, green, blue] = colour(*index);
                [red, green, blue, *alpha]
            });
            ImageBuffer::from_raw(width, height, rgba.collect()).map(DynamicImage::ImageRgba8)
        }
        Photometric::Rgb(Alpha::None) => rgb(levels),
        Photometric::Rgb(alpha) => {
            divide(&mut levels, 4, *alpha);
            ImageBuffer::from_raw(width, height, levels).map(DynamicImage::ImageRgba8)
        }
        Photometric::Cmyk => {
            let count = levels.len() / 4;
            for place in 0..count {
                let cmyk = [0, 1, 2, 3].map(|ink| levels[4 * place + ink]);
                levels[3 * place..3 * place + 3].copy_from_slice(&from_cmyk(cmyk));
            }
            levels.truncate(3 * count);
            rgb(levels)
        }
        Photometric::YCbCr => {
            if layout.compression != Compression::Jpeg || layout.planar {
                for pixel in levels.as_chunks_mut::<3>().0 {
                    *pixel = ycbcr::to_rgb(layout, *pixel);
                }
            }
            rgb(levels)
        }
        Photometric::EmbeddedJpeg(_) => None,
    }
}

/// Converts the output of the JPEG decoder, 1 or 3 bytes per pixel.
pub(super) fn from_jpeg((width, height): (u32, u32), levels: Vec<u8>) -> Option<DynamicImage> {
    let pixels = width as usize * height as usize;
    if levels.len() == pixels {
        return ImageBuffer::from_raw(width, height, levels).map(DynamicImage::ImageLuma8);
    }
    ImageBuffer::from_raw(width, height, levels).map(DynamicImage::ImageRgb8)
}

/// Undoes premultiplication by alpha, which is the last of a pixel's `samples`.
fn divide(levels: &mut [u8], samples: usize, alpha: Alpha) {
    if alpha != Alpha::Premultiplied {
        return;
    }
    for pixel in levels.chunks_exact_mut(samples) {
        if let [colours @ .., alpha @ 1..=254] = pixel {
            for level in colours {
                *level = (u32::from(*level) * 255 / u32::from(*alpha)).min(255) as u8;
            }
        }
    }
}
