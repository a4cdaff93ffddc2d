//! The errors of this crate. A message names the object and the problem and, where it helps, a
//! remedy.

use std::path::PathBuf;

use crate::image::ImageError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model is not available locally and cannot be downloaded.
    #[error("the model '{name}' is not available: {reason}. {advice}")]
    ModelUnavailable {
        /// The requested name.
        name: String,
        /// The problem.
        reason: String,
        /// The remedy.
        advice: String,
    },
    /// A model's file is missing, unreadable or inconsistent.
    #[error("the model file {file} cannot be used: {reason}")]
    ModelFile {
        /// Path or name.
        file: String,
        /// The problem.
        reason: String,
    },
    /// A required tensor is missing, or differs from the configuration.
    #[error("the tensor '{tensor}' of {file} cannot be used: {reason}")]
    Tensor {
        /// Name of the tensor.
        tensor: String,
        /// Path or name of the file.
        file: String,
        /// The problem.
        reason: String,
    },
    /// The configuration requires an unsupported feature.
    #[error("the model's {what} '{value}' is not supported; supported: {supported}")]
    Unsupported {
        /// The kind of feature.
        what: &'static str,
        /// The unsupported value.
        value: String,
        /// The supported values.
        supported: &'static str,
    },
    /// The requested device is not available.
    #[error("the device '{device}' cannot be used: {reason}")]
    Device {
        /// Name of the device.
        device: String,
        /// The problem.
        reason: String,
    },
    /// The value of a setting is invalid.
    #[error("'{value}' is not a valid {setting}: {expected}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// The invalid value.
        value: String,
        /// The valid values.
        expected: &'static str,
    },
    /// An image cannot be used. Other inputs of its batch are not affected.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Decoding the image takes more memory than the budget of all decodes.
    #[error(
        "decoding this image takes {needed} bytes, and the memory budget of all decodes is {ceiling}: \
         send a smaller one or raise the budget"
    )]
    DecodeMemory {
        /// In bytes.
        needed: u64,
        /// The budget, in bytes.
        ceiling: u64,
    },
    /// The model is text-only.
    #[error(
        "this model embeds only texts, not images: send a text, or choose a model with an image tower"
    )]
    NoImageTower,
    /// The tokenizer rejects the text.
    #[error("the text cannot be tokenized: {reason}")]
    Tokens {
        /// The tokenizer's message.
        reason: String,
    },
    /// The model's vector is zero or not finite, so it cannot be normalised.
    #[error("the model returned no usable embedding for this input: {reason}")]
    NoDirection {
        /// The problem.
        reason: &'static str,
    },
    /// The ONNX Runtime library is missing or cannot be used.
    #[error(
        "ONNX Runtime cannot be used: {reason}. Give the path of the library with --onnx-runtime \
         FILE (it is part of PyPI's 'onnxruntime' wheel, which './setup.sh onnx' installs), or use \
         the model in safetensors format"
    )]
    OnnxRuntime {
        /// Path or name of the library.
        library: PathBuf,
        /// The problem.
        reason: String,
    },
    /// An operation of LibTorch failed.
    #[error("LibTorch failed while {during}: {source}")]
    Torch {
        /// The step.
        during: &'static str,
        /// LibTorch's error.
        source: tch::TchError,
    },
    /// A bug: the code panicked. The thread continues.
    #[error("{during} stopped on an internal error: {reason}")]
    Panicked {
        /// The step.
        during: &'static str,
        /// The message of the panic.
        reason: String,
    },
    /// The encoder is shutting down.
    #[error("the encoder is shutting down and accepts no more work")]
    Stopped,
    /// A file operation failed.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
}

impl EmbedError {
    /// For `map_err` on results of LibTorch. `during` names the step.
    pub(crate) fn torch(during: &'static str) -> impl FnOnce(tch::TchError) -> Self {
        move |source| Self::Torch {
            during,
            source: without_frames(source),
        }
    }

    /// For `map_err` on results of file operations.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// An unusable model file.
    pub(crate) fn file(file: impl Into<String>, reason: impl ToString) -> Self {
        Self::ModelFile {
            file: file.into(),
            reason: reason.to_string(),
        }
    }

    /// Converts the payload of `catch_unwind`.
    pub(crate) fn panicked(during: &'static str, payload: &(dyn std::any::Any + Send)) -> Self {
        let reason = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned());
        Self::Panicked { during, reason }
    }
}

/// Removes the C++ stack trace that LibTorch appends, which is useless to users.
fn without_frames(error: tch::TchError) -> tch::TchError {
    match error {
        tch::TchError::Torch(text) => {
            let message = text.split("\nException raised from ").next();
            tch::TchError::Torch(message.unwrap_or(&text).trim_end().to_owned())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn libtorch_s_message_has_no_stack_trace() {
        let shapes = [[2, 3], [5, 7]].map(|shape| Tensor::zeros(shape, (Kind::Float, Device::Cpu)));
        let error = shapes[0].f_matmul(&shapes[1]).unwrap_err();
        assert!(error.to_string().contains("frame #"), "{error}");
        let message = EmbedError::torch("embedding texts")(error).to_string();
        assert!(
            message.starts_with("LibTorch failed while embedding texts: "),
            "{message}"
        );
        assert!(
            message.contains("2x3 and 5x7") && !message.contains("frame"),
            "{message}"
        );
    }
}
