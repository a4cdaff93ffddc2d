//! The preprocessing of CLIP-like image processors: resize, crop at the centre, normalise.

use std::sync::Arc;

use ::image::{DynamicImage, RgbImage, metadata::Orientation};
use serde_json::Value;

use super::open_clip_config;
use super::pixels::{Levels, Pixels};
use super::processor_config::{CropRounding, Resize, Settings};
use super::resize::{Raster, Region, resize_part};
use super::{ImageError, ImageLimits, IsWanted, decode, orient, rgb};

/// A model's preprocessing. Cheap to clone and to share between threads.
#[derive(Debug, Clone)]
pub struct Preprocessor {
    settings: Settings,
    levels: Arc<Levels>,
}

impl Preprocessor {
    /// Reads the contents of a `preprocessor_config.json`.
    ///
    /// # Errors
    /// [`ImageError::Config`] for an unsupported setting.
    pub fn from_config(json: &[u8]) -> Result<Self, ImageError> {
        Settings::parse(json).map(Self::new)
    }

    /// Reads `preprocess_cfg` of an `open_clip_config.json` for a tower that reads square images
    /// with a side of `side` pixels.
    ///
    /// # Errors
    /// [`ImageError::Config`] for an unsupported setting.
    pub fn from_open_clip(config: &Value, side: u32) -> Result<Self, ImageError> {
        open_clip_config::settings(config, side).map(Self::new)
    }

    fn new(settings: Settings) -> Self {
        let mut levels: Levels = [[0.0; 256]; 3];
        for (channel, table) in levels.iter_mut().enumerate() {
            for (level, value) in table.iter_mut().enumerate() {
                let scaled = level as f64 * settings.rescale;
                *value = ((scaled - settings.mean[channel]) / settings.deviation[channel]) as f32;
            }
        }
        Self {
            settings,
            levels: Arc::new(levels),
        }
    }

    /// Width and height of the result of [`pixels`](Self::pixels), in pixels.
    pub fn size(&self) -> (u32, u32) {
        self.settings.crop
    }

    /// Decodes an image file and preprocesses it. Blocks while it decodes.
    ///
    /// # Errors
    /// As [`inspect`](super::inspect), and [`ImageError::TooCostly`].
    pub fn pixels(&self, bytes: &[u8], limits: &ImageLimits) -> Result<Pixels, ImageError> {
        self.pixels_while(bytes, limits, &|| true)
    }

    /// As [`pixels`](Self::pixels), while the result is `wanted`.
    pub(crate) fn pixels_while(
        &self,
        bytes: &[u8],
        limits: &ImageLimits,
        wanted: IsWanted<'_>,
    ) -> Result<Pixels, ImageError> {
        let cropped = self.cropped_while(bytes, limits, wanted)?;
        Ok(Pixels::new(cropped, Arc::clone(&self.levels)))
    }

    /// The 8-bit image before normalisation: upright, resized, cropped, composited over white.
    ///
    /// # Errors
    /// As [`pixels`](Self::pixels).
    pub fn cropped(&self, bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageError> {
        self.cropped_while(bytes, limits, &|| true)
    }

    fn cropped_while(
        &self,
        bytes: &[u8],
        limits: &ImageLimits,
        wanted: IsWanted<'_>,
    ) -> Result<RgbImage, ImageError> {
        let decoded = decode::decode(bytes, limits, wanted)?;
        let full = self.full_size(decoded.info.width, decoded.info.height);
        let (crop_width, crop_height) = self.settings.crop;
        let across = Window::centred(full.0, crop_width, self.settings.crop_rounding);
        let down = Window::centred(full.1, crop_height, self.settings.crop_rounding);
        let wanted = Region {
            left: across.start,
            top: down.start,
            width: across.length,
            height: down.length,
        };
        let rgb = rgb::over_white(decoded.image);
        let part = self.resize(&rgb, decoded.orientation, full, wanted)?;
        if part.dimensions() == self.settings.crop {
            return Ok(part);
        }
        // An exact size may be smaller than the crop: pad with black.
        let mut framed = RgbImage::new(crop_width, crop_height);
        let (left, top) = (i64::from(across.margin), i64::from(down.margin));
        ::image::imageops::replace(&mut framed, &part, left, top);
        Ok(framed)
    }

    /// The size of the complete image after resizing, computed as transformers does.
    fn full_size(&self, width: u32, height: u32) -> (u64, u64) {
        match self.settings.resize {
            Resize::Exact(width, height) => (width.into(), height.into()),
            Resize::ShortestEdge(edge) => {
                let (edge, width, height) = (u64::from(edge), u64::from(width), u64::from(height));
                if width <= height {
                    (edge, edge * height / width)
                } else {
                    (edge * width / height, edge)
                }
            }
        }
    }

    /// Resizes before it applies the orientation: rotating a few pixels is cheaper than all.
    fn resize(
        &self,
        stored: &RgbImage,
        orientation: Orientation,
        full: (u64, u64),
        wanted: Region,
    ) -> Result<RgbImage, ImageError> {
        let part = orient::stored_region(orientation, full, wanted);
        let source = Raster {
            width: stored.width(),
            height: stored.height(),
            data: stored.as_raw(),
        };
        let stored_full = orient::upright_size(orientation, full.0, full.1);
        let data = resize_part::<3>(&source, stored_full, part, self.settings.filter);
        let resized = RgbImage::from_raw(part.width, part.height, data).ok_or_else(|| {
            ImageError::Corrupt {
                format: "image",
                reason: "the resized image has an unexpected size".to_owned(),
            }
        })?;
        let mut resized = DynamicImage::ImageRgb8(resized);
        resized.apply_orientation(orientation);
        Ok(resized.into_rgb8())
    }
}

/// The part of one axis that a centred crop keeps, and its position in the result.
struct Window {
    start: u64,
    length: u32,
    margin: u32,
}

impl Window {
    /// `rounding` decides where an odd pixel is cut off. An odd pixel of padding goes to the
    /// start, as in transformers.
    fn centred(full: u64, crop: u32, rounding: CropRounding) -> Self {
        match u32::try_from(full) {
            Ok(full) if full < crop => Self {
                start: 0,
                length: full,
                margin: (crop - full).div_ceil(2),
            },
            _ => Self {
                start: rounding.start(full - u64::from(crop)),
                length: crop,
                margin: 0,
            },
        }
    }
}
