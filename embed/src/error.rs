//! Everything that can go wrong between bytes and an embedding. Each variant says
//! what happened, to what, and where it helps what to do.

use std::path::PathBuf;

use crate::image::ImageError;

#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// No such model here and no way to fetch it: the program cannot go on.
    #[error("the model '{name}' is not available: {reason}. {advice}")]
    ModelUnavailable {
        name: String,
        reason: String,
        advice: String,
    },
    /// A model's file is missing, unreadable or not what its name says.
    #[error("the model file {file} cannot be used: {reason}")]
    ModelFile { file: String, reason: String },
    /// A tensor that the configuration promises is missing or has another shape.
    #[error("the tensor '{tensor}' of {file} cannot be used: {reason}")]
    Tensor {
        tensor: String,
        file: String,
        reason: String,
    },
    /// The configuration asks for what this program does not know.
    #[error("the model's {what} '{value}' is not supported; supported: {supported}")]
    Unsupported {
        what: &'static str,
        value: String,
        supported: &'static str,
    },
    #[error("the device '{device}' cannot be used: {reason}")]
    Device { device: String, reason: String },
    #[error("'{value}' is no {setting}: {expected}")]
    Setting {
        setting: &'static str,
        value: String,
        expected: &'static str,
    },
    /// The picture is at fault; nothing else in its batch is touched.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Decoding it would take more memory than all decoding together may.
    #[error(
        "decoding this picture takes {needed} bytes, and all decoding together may take {ceiling}: \
         send a smaller one or raise the ceiling"
    )]
    DecodeMemory { needed: u64, ceiling: u64 },
    /// The model knows words alone.
    #[error(
        "this model embeds texts and no pictures: send a text, or choose a model with an image tower"
    )]
    NoImageTower,
    #[error("the text cannot be made into tokens: {reason}")]
    Tokens { reason: String },
    /// The vector is zero or not finite: there is no direction to compare by.
    #[error("the model gives this input no usable embedding: {reason}")]
    NoDirection { reason: &'static str },
    /// The library is not there, or cannot be used.
    #[error(
        "ONNX Runtime cannot be used: {reason}. Tell where the library lies with --onnx-runtime \
         FILE (it comes with PyPI's 'onnxruntime' wheel: './setup.sh onnx' fetches it), or give \
         the model as safetensors"
    )]
    OnnxRuntime { library: PathBuf, reason: String },
    #[error("LibTorch failed while {during}: {source}")]
    Torch {
        during: &'static str,
        source: tch::TchError,
    },
    /// A defect: the code panicked, the thread goes on.
    #[error("{during} stopped on an internal error: {reason}")]
    Panicked {
        during: &'static str,
        reason: String,
    },
    #[error("the encoder is shutting down and takes no more work")]
    Stopped,
    #[error("{path}: {source}", path = path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl EmbedError {
    /// For `map_err` beside LibTorch calls: names the step that failed.
    pub(crate) fn torch(during: &'static str) -> impl FnOnce(tch::TchError) -> Self {
        move |source| Self::Torch { during, source }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn file(file: impl Into<String>, reason: impl ToString) -> Self {
        Self::ModelFile {
            file: file.into(),
            reason: reason.to_string(),
        }
    }

    /// From `catch_unwind`'s payload.
    pub(crate) fn panicked(during: &'static str, payload: &(dyn std::any::Any + Send)) -> Self {
        let reason = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned());
        Self::Panicked { during, reason }
    }
}
