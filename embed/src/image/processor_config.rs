//! `preprocessor_config.json` as Hugging Face writes it. What cannot be done as written
//! is an error, never a guess.

use serde::Deserialize;

use super::ImageError;
use super::filter::Filter;

#[derive(Debug, Deserialize)]
struct Raw {
    image_processor_type: Option<String>,
    /// What that was called before.
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

/// How the whole picture is resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resize {
    /// The shorter side to this many pixels, the other in proportion, rounded down.
    ShortestEdge(u32),
    /// To exactly this width and height.
    Exact(u32, u32),
}

/// Where a crop begins when what is cut off does not halve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// transformers: half of it, rounded down.
    Down,
    /// torchvision: half of it, rounded to an even number.
    ToEven,
}

impl Cut {
    /// The first place that is kept when `rest` places are not.
    pub fn start(self, rest: u64) -> u64 {
        match self {
            Self::ToEven if rest % 4 == 3 => rest / 2 + 1,
            _ => rest / 2,
        }
    }
}

/// Whose defaults hold for what the file leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Clip,
    /// Without a crop one number is both sides, as in the authors' own code.
    ChineseClip,
    /// No crop, and means and deviations of a half.
    Siglip,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub resize: Resize,
    pub filter: Filter,
    /// Width and height of what the tower reads.
    pub crop: (u32, u32),
    pub cut: Cut,
    /// By which 8-bit values are multiplied.
    pub rescale: f64,
    pub mean: [f64; 3],
    pub deviation: [f64; 3],
}

/// No tower reads larger pictures; the pixels of one are held once per waiting request.
const LARGEST_SIDE: u32 = 4096;
pub(super) const OPENAI_MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
pub(super) const OPENAI_DEVIATION: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];

impl Settings {
    /// Defaults for what is absent are those of the processor that is named,
    /// `CLIPImageProcessor`'s when none is.
    pub fn parse(json: &[u8]) -> Result<Self, ImageError> {
        let raw: Raw = serde_json::from_slice(json)
            .map_err(|error| config("the file", format!("is not what was expected: {error}")))?;
        let family = family(&raw)?;
        if raw.do_resize == Some(false) {
            return Err(config("do_resize", "false is not supported"));
        }
        if raw.do_pad == Some(true) {
            return Err(config("do_pad", "true is not supported"));
        }
        let crops = raw.do_center_crop.unwrap_or(family != Family::Siglip);
        let size = match (raw.size.unwrap_or(RawSize::Number(224)), family) {
            (RawSize::Number(side), Family::ChineseClip) if !crops => RawSize::square(side),
            (RawSize::Number(side), Family::Siglip) => RawSize::square(side),
            (size, _) => size,
        };
        let resize = resize(size)?;
        let crop = match (crops, resize) {
            (true, _) => crop(raw.crop_size.unwrap_or(RawSize::Number(224)))?,
            (false, Resize::Exact(width, height)) => (width, height),
            (false, Resize::ShortestEdge(_)) => {
                return Err(config(
                    "do_center_crop",
                    "false with a shortest_edge gives pictures of many sizes, and towers read one",
                ));
            }
        };
        let rescale = match raw.do_rescale.unwrap_or(true) {
            true => raw.rescale_factor.unwrap_or(1.0 / 255.0),
            false => 1.0,
        };
        let (mean, deviation) = match family {
            Family::Siglip => ([0.5; 3], [0.5; 3]),
            Family::Clip | Family::ChineseClip => (OPENAI_MEAN, OPENAI_DEVIATION),
        };
        let (mean, deviation) = match raw.do_normalize.unwrap_or(true) {
            true => (
                three("image_mean", raw.image_mean, mean)?,
                deviations("image_std", raw.image_std, deviation)?,
            ),
            false => ([0.0; 3], [1.0; 3]),
        };
        if !rescale.is_finite() || rescale <= 0.0 {
            return Err(config("rescale_factor", "must be above zero"));
        }
        Ok(Self {
            cut: Cut::Down,
            resize,
            filter: filter(raw.resample.unwrap_or(3))?,
            crop,
            rescale,
            mean,
            deviation,
        })
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

/// A processor that is known, under any of its names (`…Fast`, `…Pil`).
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
            format!("{name} is not supported; those of CLIP, ChineseCLIP and Siglip are"),
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

/// Pillow's numbers.
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

/// `default`, or what is given in its place.
pub(super) fn three(
    field: &'static str,
    given: Option<Vec<f64>>,
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

/// The same of deviations, by which values are divided.
pub(super) fn deviations(
    field: &'static str,
    given: Option<Vec<f64>>,
    default: [f64; 3],
) -> Result<[f64; 3], ImageError> {
    let values = three(field, given, default)?;
    match values.iter().all(|value| *value > 0.0) {
        true => Ok(values),
        false => Err(config(field, "must be above zero")),
    }
}
