//! How model folders are laid out, one file each: from a folder's configuration to its
//! tokenizer, its preprocessing and its towers.
//!
//! To add one: write its file, and give what tells it apart an arm in [`open`]. Nothing
//! else knows the layouts apart; the networks themselves are in `towers`.

mod chinese_clip;
mod clip;
mod clipdb;
mod cn_clip;
mod m_clip;
mod onnx;
mod open_clip;
mod prompts;
mod sentence;
mod sentence_modules;
mod siglip;

use serde::Deserialize;
use serde_json::Value;
use tch::{Device, Kind};

use crate::image::Preprocessor;
use crate::model::{Half, Model, Scale};
use crate::sources::{
    CONFIG, ModelFiles, ModelSource, OPEN_CLIP_CONFIG, OPEN_CLIP_WEIGHTS, PREPROCESSOR,
    SENTENCE_TYPES, TRANSFORMERS_WEIGHTS, WEIGHTS, WEIGHTS_INDEX, WeightFiles,
};
use crate::tokens::Tokens;
use crate::towers::{ImageTower, Linear, Projection};
use crate::weights::{Scope, Weights};
use crate::{EmbedError, EncoderSettings, EngineChoice};

/// A model's folder, its configuration read and its weights not yet.
pub(crate) trait Layout: std::fmt::Debug {
    fn tokens(&self) -> Result<Tokens, EmbedError>;

    /// None in a model of sentences alone.
    fn preprocessor(&self) -> Result<Option<Preprocessor>, EmbedError>;

    /// # Errors
    /// When a file or tensor is missing or broken (it is named), or the configuration
    /// asks for what there is not.
    fn load(&self, device: Device, kind: Kind) -> Result<Model, EmbedError>;

    /// What runs its networks.
    fn engine(&self) -> &'static str {
        "LibTorch"
    }

    /// The image tower without its text tower, to stand beside another.
    ///
    /// # Errors
    /// As [`load`](Self::load), and in layouts of which nobody needs that.
    fn load_image(&self, _device: Device, _kind: Kind) -> Result<ImageAlone, EmbedError> {
        Err(EmbedError::file(
            m_clip::IMAGE,
            "an image tower beside another text tower is CLIP's, in transformers' layout or \
             OpenCLIP's",
        ))
    }
}

/// An image tower by itself, and what is known of it.
pub(crate) struct ImageAlone {
    pub half: Half<dyn ImageTower>,
    pub dim: i64,
    pub scale: Scale,
    pub parameters: u64,
    pub fingerprint: String,
}

/// Reads a folder's configuration.
///
/// # Errors
/// When it is broken, or of no layout that is known.
pub(crate) fn open(
    source: &ModelSource,
    settings: &EncoderSettings,
) -> Result<Box<dyn Layout>, EmbedError> {
    let files = source.files();
    let graphs = match settings.engine {
        EngineChoice::LibTorch => false,
        EngineChoice::Onnx => true,
        EngineChoice::Auto => onnx::has_graphs(files) && !has_tensors(files),
    };
    if graphs {
        return Ok(Box::new(onnx::Onnx::open(files, source.name(), settings)?));
    }
    open_files(source.files(), source.name())
}

/// Whether there are weights for LibTorch; a pickle beside graphs is not preferred to them.
fn has_tensors(files: &ModelFiles) -> bool {
    let names = [TRANSFORMERS_WEIGHTS, OPEN_CLIP_WEIGHTS];
    let mut names = names.iter().flat_map(|names| names.safetensors);
    files.has(WEIGHTS_INDEX) || names.any(|file| files.has(file))
}

fn open_files(files: &ModelFiles, name: &str) -> Result<Box<dyn Layout>, EmbedError> {
    #[derive(Default, Deserialize)]
    struct Head {
        model_type: Option<String>,
        vision_layers: Option<Value>,
    }
    let is_open_clip = files.has(OPEN_CLIP_CONFIG);
    let has_weights = files.has(WEIGHTS) || files.has(WEIGHTS_INDEX);
    let head: Head = match (is_open_clip, files.has(CONFIG)) {
        // Other libraries' configurations may lie beside it, which say nothing here.
        (true, false) => Head::default(),
        (true, true) if !has_weights => Head::default(),
        (false, false) if files.folder(m_clip::TEXT).is_ok() => {
            let image = open_files(&files.folder(m_clip::IMAGE)?, name)?;
            return Ok(Box::new(m_clip::MClip::open(files, image)?));
        }
        _ => files.json(CONFIG)?,
    };
    match head.model_type.as_deref() {
        Some("clip") => Ok(Box::new(clip::Clip::open(files)?)),
        Some("siglip") => Ok(Box::new(siglip::Siglip::open(files)?)),
        Some("chinese_clip") => Ok(Box::new(chinese_clip::ChineseClip::open(files)?)),
        Some(it) if SENTENCE_TYPES.contains(&it) && !is_open_clip => {
            Ok(Box::new(sentence::Sentence::open(files, name)?))
        }
        Some("clipdb-dual-encoder") => Ok(Box::new(clipdb::ClipDb::open(files)?)),
        None if head.vision_layers.is_some() => Ok(Box::new(cn_clip::CnClip::open(files)?)),
        _ if is_open_clip => Ok(Box::new(open_clip::OpenClip::open(files)?)),
        _ => Err(EmbedError::Unsupported {
            what: "model type",
            value: head.model_type.unwrap_or_else(|| "(none)".to_owned()),
            supported: "clip, siglip, chinese_clip, clipdb-dual-encoder; bert, roberta and \
                        xlm-roberta as models of sentences; and folders in the layouts of \
                        OpenCLIP, Chinese-CLIP and M-CLIP",
        }),
    }
}

/// Preprocessing as `preprocessor_config.json` says.
fn preprocessor(files: &ModelFiles) -> Result<Preprocessor, EmbedError> {
    Preprocessor::from_config(&files.bytes(PREPROCESSOR)?)
        .map_err(|error| EmbedError::file(files.display(PREPROCESSOR), error))
}

/// The weights, those files counted in that say how text and pixels are prepared. Not
/// the configuration, which also holds names and licences: where it matters, other
/// tensors are read.
fn weights(
    files: &ModelFiles,
    names: &WeightFiles,
    preparation: &[&str],
    device: Device,
    kind: Kind,
) -> Result<Weights, EmbedError> {
    let weights = Weights::open(files, names, device, kind)?;
    for file in preparation {
        weights.count_in(&files.bytes(file)?);
    }
    Ok(weights)
}

/// The scale of a model that compares by softmax, which is stored as its logarithm.
fn softmax_scale(weights: &Scope<'_>) -> Result<Scale, EmbedError> {
    Ok(Scale {
        factor: weights.number("logit_scale")?.exp(),
        bias: None,
        assumed: false,
    })
}

/// From features into the shared space, in `transformers`' layouts.
fn projection(
    weights: &Weights,
    name: &str,
    width: i64,
    dim: i64,
) -> Result<Projection, EmbedError> {
    Linear::without_bias(&weights.at(name), width, dim).map(Projection::Linear)
}

/// A part of the configuration that is absent has only defaults.
fn or_empty(config: Value) -> Value {
    if config.is_null() {
        Value::Object(serde_json::Map::new())
    } else {
        config
    }
}
