//! ONNX Runtime, the second engine: towers that are exported graphs.
//!
//! It implements the traits of the towers, so the rest of the crate does not distinguish engines. The
//! library is not part of the binary. It is loaded with the first model that needs it.

mod graph;
mod library;
mod logits;
mod towers;

pub(crate) use graph::{Graph, Role};
pub(crate) use logits::{LogitBias, scale};
pub(crate) use towers::{GraphContext, OnnxImage, OnnxText};
