//! Vectors: segments that are scanned or searched by FAISS, and their files.
//!
//! New vectors are kept in memory and searched immediately. Once there are enough, they are written
//! to a segment on disk, which is mapped. In the background, segments are merged and get the
//! collection's kind of index. Removed vectors are marked and left out by a later merge.
//!
//! This module owns everything in the collection's `vectors` folder and knows nothing of text or
//! metadata. FAISS is called in `native` only.

mod background;
mod build;
mod codes;
mod cost;
mod entry;
mod f32_buffer;
mod files;
mod id;
mod live;
mod manifest;
mod members;
mod merge_policy;
mod native;
mod opening;
mod segment;
mod segment_reader;
mod segment_view;
mod segment_writer;
mod settings;
mod shared;
mod store;
mod threads;
mod worker;

pub use background::{Background, Cosines};
pub use native::Compared;
pub use settings::{BuiltKind, IndexKind, VectorSettings};
pub use shared::Builds;
pub(crate) use store::VectorStore;
pub use store::{Nearest, SegmentSize};
pub use threads::{set_build_threads, set_search_threads};
