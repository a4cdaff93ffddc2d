//! The networks, one file each. A network reads its tensors by the checkpoint's own names.
//!
//! To add a network, write its file (a configuration struct, `new(weights, config)`, `forward`)
//! and build it in the layout whose folders contain it (`layouts`).

mod attention;
mod bert;
mod clip_encoder;
mod clip_text;
mod clip_vision;
mod config;
mod convolution;
mod efficientnet_lite;
mod embedding_table;
mod layers;
mod linear;
mod modified_resnet;
mod multilingual_text;
mod packed_weights;
mod patch_embedding;
mod pooling;
mod projection;
mod registry;
mod roberta;
mod siglip_text;
mod siglip_vision;
mod token_batch;
mod tower;
mod universal_sentence_encoder;

pub(crate) use bert::{Bert, BertConfig, EPS as BERT_EPS, PositionEmbedding};
pub(crate) use clip_encoder::Naming;
pub(crate) use clip_text::{ClipText, ClipTextConfig, END_IS_HIGHEST};
pub(crate) use clip_vision::{ClipVision, ClipVisionConfig};
pub(crate) use config::parse;
pub(crate) use layers::{Activation, Mlp};
pub(crate) use linear::Linear;
pub(crate) use modified_resnet::{ModifiedResNet, ModifiedResNetConfig};
pub use packed_weights::PackedWeights;
pub(crate) use pooling::Pooling;
pub(crate) use projection::{ParallelMlps, ParallelMlpsConfig, Projection};
pub(crate) use registry::{MULTILINGUAL_TEXT, image_tower, text_tower};
pub(crate) use roberta::{EPS as ROBERTA_EPS, PADDING as ROBERTA_PADDING, roberta};
pub(crate) use siglip_text::{SiglipText, SiglipTextConfig};
pub(crate) use siglip_vision::{SiglipVision, SiglipVisionConfig};
pub(crate) use token_batch::TokenBatch;
pub(crate) use tower::{ImageTower, TextTower, YieldPoint};

#[cfg(test)]
mod tests;
