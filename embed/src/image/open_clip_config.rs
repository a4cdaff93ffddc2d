//! `preprocess_cfg` of an `open_clip_config.json`, which configures torchvision's transforms.

use serde::Deserialize;
use serde_json::Value;

use super::ImageError;
use super::filter::Filter;
use super::processor_config::{
    CropRounding, OPENAI_DEVIATION, OPENAI_MEAN, Resize, Settings, config, deviations, side, three,
};

/// The fields of OpenCLIP's `PreprocessCfg`. An unknown field is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    size: Option<Size>,
    mode: Option<String>,
    mean: Option<Vec<f64>>,
    std: Option<Vec<f64>>,
    interpolation: Option<String>,
    resize_mode: Option<String>,
    /// The colour of a border, which the supported modes do not add.
    #[serde(rename = "fill_color")]
    _fill_color: Option<Value>,
}

/// The side of a square, or height and width.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Side(u32),
    Sides([u32; 2]),
}

/// The settings for a tower that reads square images with a side of `wanted` pixels.
pub(super) fn settings(json: &Value, wanted: u32) -> Result<Settings, ImageError> {
    const FIELD: &str = "preprocess_cfg";
    let raw = match json {
        Value::Null => Raw::default(),
        given => serde_json::from_value(given.clone())
            .map_err(|error| config(FIELD, format!("has an unexpected form: {error}")))?,
    };
    let wanted = side(FIELD, wanted)?;
    let [height, width] = match raw.size {
        None => [wanted; 2],
        Some(Size::Side(side)) => [side; 2],
        Some(Size::Sides(sides)) => sides,
    };
    if [height, width] != [wanted; 2] {
        return Err(config(
            "size",
            format!("is {width}×{height}, and the tower reads {wanted}×{wanted}"),
        ));
    }
    if raw.mode.as_deref().is_some_and(|mode| mode != "RGB") {
        return Err(config("mode", "only RGB is supported"));
    }
    let resize = match raw.resize_mode.as_deref() {
        None | Some("shortest") => Resize::ShortestEdge(wanted),
        Some("squash") => Resize::Exact(wanted, wanted),
        Some(other) => {
            return Err(config(
                "resize_mode",
                format!("'{other}' is not supported; shortest and squash are"),
            ));
        }
    };
    let filter = match raw.interpolation.as_deref() {
        None | Some("bicubic") => Filter::Bicubic,
        Some("bilinear") => Filter::Bilinear,
        Some(other) => {
            return Err(config(
                "interpolation",
                format!("'{other}' is not supported; bicubic and bilinear are"),
            ));
        }
    };
    Ok(Settings {
        resize,
        filter,
        crop: (wanted, wanted),
        crop_rounding: CropRounding::ToEven,
        rescale: 1.0 / 255.0,
        mean: three("mean", raw.mean.as_deref(), OPENAI_MEAN)?,
        deviation: deviations("std", raw.std.as_deref(), OPENAI_DEVIATION)?,
    })
}
