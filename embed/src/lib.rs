//! Encoders on LibTorch: texts and pictures in, L2-normalised vectors of one
//! space out.
//!
//! Three types carry the crate:
//! - [`ModelSource`](sources::ModelSource) is where a model's files are: in the
//!   binary, in a folder, in the cache, on the hub.
//! - [`Encoder`] is a loaded model: a device thread a replica, which owns its
//!   weights, fed by one queue that batches what waits (searches first), and a pool beside it that
//!   decodes pictures and makes tokens.
//! - [`Embedding`] is what comes out: finite, of length one, or it does not exist.
//!
//! This crate knows nothing of documents, collections or HTTP.

mod allocation;
mod card;
mod decoding;
mod device;
mod embedding;
mod encoder;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod image;
mod instructions;
mod layouts;
mod model;
mod onnx;
mod passages;
mod pool;
mod queue;
mod settings;
pub mod sources;
mod statistics;
mod threads;
mod tokens;
mod towers;
mod weights;
mod worker;

pub use card::ModelCard;
pub use decoding::Thumbnails;
pub use embedding::{
    Embedding, ImageEmbedding, LongText, PassageEmbedding, TextEmbedding, Timings,
};
pub use encoder::Encoder;
pub use error::EmbedError;
pub use image::{ImageError, ImageInfo, Thumbnail, thumbnail};
pub use passages::{Passage, Passages};
pub use queue::Priority;
pub use settings::{DeviceChoice, Devices, EncoderSettings, EngineChoice, Precision};
pub use sources::ModelSource;
pub use statistics::{QueueStatistics, StageStatistics};
pub use tokens::{TextRole, TextTokens, Tokens};
