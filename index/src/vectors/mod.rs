//! Vectors: segments that are scanned or searched by FAISS, and their files.
//!
//! New vectors grow in memory and are found at once; when there are enough they are sealed,
//! written to disk and mapped; in the background they are built into the collection's kind
//! of index and merged. What is removed is only marked, until a merge leaves it out.

mod build;
mod codes;
mod cost;
mod files;
mod id;
mod lanes;
mod live;
mod manifest;
mod mapped;
mod members;
mod native;
mod opening;
mod plan;
mod segment;
mod settings;
mod shared;
mod store;
mod threads;
mod worker;

pub use id::{MAX_DIMENSIONS, MAX_ROW};
pub use native::Compared;
pub use settings::{BuiltKind, IndexKind, VectorSettings};
pub use shared::Builds;
pub(crate) use store::VectorStore;
pub use store::{Nearest, SegmentSize};
pub use threads::{set_build_threads, set_search_threads};
