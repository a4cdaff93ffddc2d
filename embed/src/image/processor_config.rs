//! `preprocessor_config.json` as Hugging Face writes it. A setting that cannot be followed exactly
//! is an error.

use serde::Deserialize;

use super::ImageError;
use super::filter::Filter;

#[derive(Debug, Deserialize)]
struct Raw {
    image_processor_type: Option<String>,
    /// The former name of `image_processor_type`.
    feature_extractor_type: Option<String>,
    do_resize: Option<bool>,
    size: Option<RawSize>,
    resample: Option<u8>,
    do_center_crop: Option<bool>,
    crop_size: Option<RawSize>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<Vec<f64>>,
    image_std: Option<Vec<f64>>,
    do_pad: Option<bool>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum RawSize {
    Number(u32),
    Named {
        shortest_edge: Option<u32>,
        longest_edge: Option<u32>,
        height: Option<u32>,
        width: Option<u32>,
    },
}

/// How the image is resized before the crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resize {
    /// Scales the shorter side to this many pixels and the other in proportion, rounded down.
    ShortestEdge(u32),
    /// Scales to exactly this width and height.
    Exact(u32, u32),
}

/// How the start of a centred crop is rounded if an odd number of pixels is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CropRounding {
    /// Rounds down, as transformers does.
    Down,
    /// Rounds to even, as torchvision does.
    ToEven,
}

impl CropRounding {
    /// The index of the first pixel to keep if `rest` pixels are cut off in total.
    pub fn start(self, rest: u64) -> u64 {
        match self {
            Self::ToEven if rest % 4 == 3 => rest / 2 + 1,
            _ => rest / 2,
        }
    }
}

/// The image processor whose defaults apply to absent fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Clip,
    /// Without a crop, a single number sets both sides, as in the authors' code.
    ChineseClip,
    /// No crop, and a mean and standard deviation of 0.5.
    Siglip,
}

/// Validated preprocessing settings.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub resize: Resize,
    pub filter: Filter,
    /// Width and height of the images that the tower reads, in pixels.
    pub crop: (u32, u32),
    pub crop_rounding: CropRounding,
    /// The factor that 8-bit values are multiplied by before normalisation.
    pub rescale: f64,
    pub mean: [f64; 3],
    pub deviation: [f64; 3],
}

/// No tower reads larger images. Each waiting request holds the pixels of one.
const LARGEST_SIDE: u32 = 4096;
pub(super) const OPENAI_MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
pub(super) const OPENAI_DEVIATION: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];

impl Settings {
    /// Parses the file. Absent fields get the defaults of the named processor, or of
    /// `CLIPImageProcessor` if none is named.
    pub fn parse(json: &[u8]) -> Result<Self, ImageError> {
        let raw: Raw = serde_json::from_slice(json)
            .map_err(|error| config("the file", format!("has an unexpected form: {error}")))?;
        let family = family(&raw)?;
        if raw.do_resize == Some(false) {
            return Err(config("do_resize", "false is not supported"));
        }
        if raw.do_pad == Some(true) {
            return Err(config("do_pad", "true is not supported"));
        }
        let crops = raw.do_center_crop.unwrap_or(family != Family::Siglip);
        let resize = raw.resize(family, crops)?;
        let crop = raw.crop(resize, crops)?;
        let (mean, deviation) = raw.normalisation(family)?;
        Ok(Self {
            crop_rounding: CropRounding::Down,
            resize,
            filter: filter(raw.resample.unwrap_or(3))?,
            crop,
            rescale: raw.rescale()?,
            mean,
            deviation,
        })
    }
}

impl Raw {
    fn resize(&self, family: Family, crops: bool) -> Result<Resize, ImageError> {
        let size = match (self.size.unwrap_or(RawSize::Number(224)), family) {
            (RawSize::Number(side), Family::ChineseClip) if !crops => RawSize::square(side),
            (RawSize::Number(side), Family::Siglip) => RawSize::square(side),
            (size, _) => size,
        };
        resize(size)
    }

    fn crop(&self, resize: Resize, crops: bool) -> Result<(u32, u32), ImageError> {
        match (crops, resize) {
            (true, _) => crop(self.crop_size.unwrap_or(RawSize::Number(224))),
            (false, Resize::Exact(width, height)) => Ok((width, height)),
            (false, Resize::ShortestEdge(_)) => Err(config(
                "do_center_crop",
                "false with a shortest_edge produces images of many sizes, and a tower reads one size",
            )),
        }
    }

    fn rescale(&self) -> Result<f64, ImageError> {
        let rescale = match self.do_rescale.unwrap_or(true) {
            true => self.rescale_factor.unwrap_or(1.0 / 255.0),
            false => 1.0,
        };
        match rescale.is_finite() && rescale > 0.0 {
            true => Ok(rescale),
            false => Err(config("rescale_factor", "must be above zero")),
        }
    }

    /// Mean and standard deviation of each channel.
    fn normalisation(&self, family: Family) -> Result<([f64; 3], [f64; 3]), ImageError> {
        if self.do_normalize == Some(false) {
            return Ok(([0.0; 3], [1.0; 3]));
        }
        let (mean, deviation) = match family {
            Family::Siglip => ([0.5; 3], [0.5; 3]),
            Family::Clip | Family::ChineseClip => (OPENAI_MEAN, OPENAI_DEVIATION),
        };
        Ok((
            three("image_mean", self.image_mean.as_deref(), mean)?,
            deviations("image_std", self.image_std.as_deref(), deviation)?,
        ))
    }
}

impl RawSize {
    fn square(side: u32) -> Self {
        Self::Named {
            shortest_edge: None,
            longest_edge: None,
            height: Some(side),
            width: Some(side),
        }
    }
}

/// Recognises a processor by any of its names (`…Fast`, `…Pil`).
fn family(raw: &Raw) -> Result<Family, ImageError> {
    const FIELD: &str = "image_processor_type";
    let named = [&raw.image_processor_type, &raw.feature_extractor_type];
    let Some(name) = named.into_iter().flatten().next() else {
        return Ok(Family::Clip);
    };
    let family = name
        .split("ImageProcessor")
        .next()
        .and_then(|name| name.split("FeatureExtractor").next());
    match family {
        Some("CLIP" | "ViT") => Ok(Family::Clip),
        Some("ChineseCLIP") => Ok(Family::ChineseClip),
        Some("Siglip") => Ok(Family::Siglip),
        _ => Err(config(
            FIELD,
            format!("{name} is not supported; CLIP's, ChineseCLIP's and Siglip's are"),
        )),
    }
}

pub(super) fn config(field: &'static str, reason: impl Into<String>) -> ImageError {
    ImageError::Config {
        field,
        reason: reason.into(),
    }
}

pub(super) fn side(field: &'static str, pixels: u32) -> Result<u32, ImageError> {
    match pixels {
        1..=LARGEST_SIDE => Ok(pixels),
        _ => Err(config(
            field,
            format!("{pixels} is not between 1 and {LARGEST_SIDE}"),
        )),
    }
}

fn resize(size: RawSize) -> Result<Resize, ImageError> {
    const FIELD: &str = "size";
    match size {
        RawSize::Number(edge)
        | RawSize::Named {
            shortest_edge: Some(edge),
            longest_edge: None,
            ..
        } => Ok(Resize::ShortestEdge(side(FIELD, edge)?)),
        RawSize::Named {
            shortest_edge: None,
            longest_edge: None,
            height: Some(height),
            width: Some(width),
        } => Ok(Resize::Exact(side(FIELD, width)?, side(FIELD, height)?)),
        RawSize::Named { .. } => Err(config(
            FIELD,
            "must be a number, a shortest_edge, or a height and a width",
        )),
    }
}

fn crop(size: RawSize) -> Result<(u32, u32), ImageError> {
    const FIELD: &str = "crop_size";
    match size {
        RawSize::Number(edge)
        | RawSize::Named {
            shortest_edge: Some(edge),
            height: None,
            width: None,
            ..
        } => Ok((side(FIELD, edge)?, side(FIELD, edge)?)),
        RawSize::Named {
            height: Some(height),
            width: Some(width),
            ..
        } => Ok((side(FIELD, width)?, side(FIELD, height)?)),
        RawSize::Named { .. } => Err(config(FIELD, "must be a number, or a height and a width")),
    }
}

/// Maps Pillow's filter numbers.
fn filter(resample: u8) -> Result<Filter, ImageError> {
    match resample {
        1 => Ok(Filter::Lanczos),
        2 => Ok(Filter::Bilinear),
        3 => Ok(Filter::Bicubic),
        4 => Ok(Filter::Box),
        5 => Ok(Filter::Hamming),
        other => Err(config(
            "resample",
            format!(
                "{other} is not supported; 1 to 5 are (lanczos, bilinear, bicubic, box, hamming)"
            ),
        )),
    }
}

/// The given values, or `default` if there are none.
pub(super) fn three(
    field: &'static str,
    given: Option<&[f64]>,
    default: [f64; 3],
) -> Result<[f64; 3], ImageError> {
    let Some(given) = given else {
        return Ok(default);
    };
    <[f64; 3]>::try_from(given)
        .ok()
        .filter(|values| values.iter().all(|value| value.is_finite()))
        .ok_or_else(|| config(field, "must be three numbers"))
}

/// As [`three`], for standard deviations: they are divisors, so each must be positive.
pub(super) fn deviations(
    field: &'static str,
    given: Option<&[f64]>,
    default: [f64; 3],
) -> Result<[f64; 3], ImageError> {
    let values = three(field, given, default)?;
    match values.iter().all(|value| *value > 0.0) {
        true => Ok(values),
        false => Err(config(field, "must be above zero")),
    }
}
