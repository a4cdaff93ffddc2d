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
        move |source| Self::Torch {
            during,
            source: without_frames(source),
        }
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

/// LibTorch adds the C++ functions it was in, a line each, which tell a user nothing.
fn without_frames(error: tch::TchError) -> tch::TchError {
    match error {
        tch::TchError::Torch(text) => {
            let said = text.split("\nException raised from ").next();
            tch::TchError::Torch(said.unwrap_or(&text).trim_end().to_owned())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn what_libtorch_says_is_told_without_its_stack() {
        let shapes = [[2, 3], [5, 7]].map(|shape| Tensor::zeros(shape, (Kind::Float, Device::Cpu)));
        let error = shapes[0].f_matmul(&shapes[1]).unwrap_err();
        assert!(error.to_string().contains("frame #"), "{error}");
        let told = EmbedError::torch("embedding texts")(error).to_string();
        assert!(
            told.starts_with("LibTorch failed while embedding texts: "),
            "{told}"
        );
        assert!(
            told.contains("2x3 and 5x7") && !told.contains("frame"),
            "{told}"
        );
    }
}
