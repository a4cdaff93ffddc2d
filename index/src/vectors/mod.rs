//! Vectors: the segment trait, FAISS behind it, and its files.

mod flat;
mod id;
mod store;
mod threads;

pub(crate) use flat::FlatSegment;
pub(crate) use id::VectorId;
pub use id::{MAX_DIMENSIONS, MAX_ROW};
pub(crate) use store::VectorStore;
pub use threads::set_search_threads;

use std::path::Path;

use crate::error::IndexError;
use crate::row::{RowId, Scored, VectorKind};

/// A set of vectors that answers nearest-neighbour queries in memory.
///
/// Called under a lock: `&mut self` alone, `&self` from many threads at once. Callers have
/// checked lengths and that numbers are finite.
pub(crate) trait VectorSegment: Send + Sync {
    /// Adds vectors; one that is there already stays as it is (ids are never used again).
    fn add(&mut self, vectors: &[(VectorId, &[f32])]) -> Result<(), IndexError>;

    /// Removes what is there of `rows`, both kinds.
    fn remove(&mut self, rows: &[RowId]) -> Result<(), IndexError>;

    /// The `limit` best rows of one kind by inner product, best first, ties by row.
    fn search(
        &self,
        query: &[f32],
        kind: VectorKind,
        limit: usize,
    ) -> Result<Vec<Scored>, IndexError>;

    /// How many vectors of this kind can be found.
    fn len(&self, kind: VectorKind) -> usize;

    /// The rows that have a vector here, ascending, each once.
    fn rows(&self) -> Vec<RowId>;

    /// Bytes held in memory, up to small change.
    fn memory_bytes(&self) -> usize;

    /// Carries out what was put off, so that a save holds exactly what can be found.
    fn compact(&mut self) -> Result<(), IndexError>;

    /// Writes itself to `path`, after `compact`; the caller makes the file durable.
    fn save(&self, path: &Path) -> Result<(), IndexError>;
}
