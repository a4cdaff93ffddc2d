//! The layouts of model folders, one file each: from a folder's configuration to its tokenizer, its
//! preprocessing and its towers.
//!
//! To add a layout, write its file and add its distinguishing feature to [`open`]. No other module
//! distinguishes layouts; the networks are in `towers`.

mod chinese_clip;
mod clip;
mod clipdb;
mod cn_clip;
mod folder;
mod layout;
mod m_clip;
mod onnx;
mod onnx_files;
mod open_clip;
mod open_clip_vision;
mod prompts;
mod sentence;
mod sentence_modules;
mod siglip;

use serde::Deserialize;
use serde_json::Value;

use self::folder::Folder;
use crate::sources::{
    CONFIG, M_CLIP_IMAGE, M_CLIP_TEXT, ModelFiles, ModelSource, OPEN_CLIP_CONFIG,
    OPEN_CLIP_WEIGHTS, SENTENCE_TYPES, TRANSFORMERS_WEIGHTS, WEIGHTS, WEIGHTS_INDEX,
};
use crate::{EmbedError, EncoderSettings, EngineChoice};

pub(crate) use layout::Layout;

/// Reads a folder's configuration.
///
/// # Errors
/// [`EmbedError::ModelFile`] if it cannot be read, [`EmbedError::Unsupported`] if the layout or a
/// part of the configuration is not supported.
pub(crate) fn open(
    source: &ModelSource,
    settings: &EncoderSettings,
) -> Result<Box<dyn Layout>, EmbedError> {
    let files = source.files();
    let graphs = match settings.engine {
        EngineChoice::LibTorch => false,
        EngineChoice::Onnx => true,
        EngineChoice::Auto => onnx_files::GraphFiles::find(files).is_some() && !has_tensors(files),
    };
    if graphs {
        return Ok(Box::new(onnx::Onnx::open(files, source.name(), settings)?));
    }
    open_files(source.files(), source.name())
}

/// Whether the folder has weights for LibTorch. ONNX graphs are preferred to a pickle.
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
        // Another library's configuration may be present; it does not apply.
        (true, false) => Head::default(),
        (true, true) if !has_weights => Head::default(),
        (false, false) if files.folder(M_CLIP_TEXT).is_ok() => {
            let image = open_files(&files.folder(M_CLIP_IMAGE)?, name)?;
            return Ok(Box::new(m_clip::MClip::open(files, image)?));
        }
        _ => files.json(CONFIG)?,
    };
    match head.model_type.as_deref() {
        Some("clip") => Ok(Box::new(Folder::<clip::Clip>::open(files)?)),
        Some("siglip") => Ok(Box::new(Folder::<siglip::Siglip>::open(files)?)),
        Some("chinese_clip") => Ok(Box::new(Folder::<chinese_clip::ChineseClip>::open(files)?)),
        Some(it) if SENTENCE_TYPES.contains(&it) && !is_open_clip => {
            Ok(Box::new(sentence::Sentence::open(files, name)?))
        }
        Some("clipdb-dual-encoder") => Ok(Box::new(Folder::<clipdb::ClipDb>::open(files)?)),
        None if head.vision_layers.is_some() => {
            Ok(Box::new(Folder::<cn_clip::CnClip>::open(files)?))
        }
        _ if is_open_clip => Ok(Box::new(Folder::<open_clip::OpenClip>::open(files)?)),
        _ => Err(EmbedError::Unsupported {
            what: "model type",
            value: head.model_type.unwrap_or_else(|| "(none)".to_owned()),
            supported: "clip, siglip, chinese_clip, clipdb-dual-encoder; sentence models with bert, \
                        roberta or xlm-roberta; and folders in the layouts of OpenCLIP, \
                        Chinese-CLIP and M-CLIP",
        }),
    }
}
