//! ONNX Runtime as a second engine: towers that are exported graphs.
//!
//! It stands behind the towers' own traits, so that the queue, the batches and the rest
//! of the program know no difference. The library is no part of the binary: it is loaded
//! when the first model of graphs is, and only then.

mod graph;
mod library;
mod logits;
mod towers;

pub(crate) use graph::{Graph, Role};
pub(crate) use logits::scale;
pub(crate) use towers::{OnnxImage, OnnxText, Told};
