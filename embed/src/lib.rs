//! Dual encoders on LibTorch: texts and images to L2-normalised vectors in a shared space.
//!
//! The crate has three main types:
//! - [`ModelSource`] locates a model's files: in the binary, in a folder, in
//!   the cache or on the hub.
//! - [`Encoder`] is a loaded model. Each replica has a device thread that owns its weights. All
//!   device threads take batches from one queue, searches first. A thread pool decodes images and
//!   tokenizes texts.
//! - [`Embedding`] is the output: a finite vector with an L2 norm of 1.
//!
//! This crate must not depend on documents, collections or HTTP.
#![warn(missing_docs)]

/// Internal kernels for `benches/`. Not a part of the API.
#[doc(hidden)]
pub mod kernels {
    pub use crate::threads::use_threads;
    pub use crate::towers::PackedWeights;
}

mod allocation;
mod calibration;
mod card;
mod decode_pool;
mod device;
mod embedding;
mod encoder;
mod error;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
pub mod image;
mod instructions;
mod layouts;
mod model;
mod onnx;
mod passages;
mod pool;
mod queue;
mod reading;
mod replicas;
mod settings;
pub mod sources;
mod statistics;
mod threads;
mod tokens;
mod towers;
mod unigram;
mod weights;
mod worker;

pub use calibration::{Calibration, Distribution, Modality, PairCalibration, sigmoid};
pub use card::ModelCard;
pub use decode_pool::Thumbnails;
pub use embedding::{
    Embedding, ImageEmbedding, LongText, PassageEmbedding, TextEmbedding, Timings,
};
pub use encoder::Encoder;
pub use error::EmbedError;
pub use image::{ImageError, ImageInfo, Thumbnail, thumbnail};
pub use passages::{Passage, Passages};
pub use queue::Priority;
pub use reading::Reading;
pub use settings::{DeviceChoice, Devices, EncoderSettings, EngineChoice, Precision};
pub use sources::ModelSource;
pub use statistics::{QueueStatistics, StageStatistics};
pub use tokens::{TextRole, TextTokenizer, TextTokens};
