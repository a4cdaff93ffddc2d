//! The vector index settings of a collection. Their meaning is defined by the index crate.

use serde::{Deserialize, Deserializer, Serialize};

/// The maximum number of dimensions of a collection's vectors.
///
/// sled moves a leaf of a tree (up to 17 values) out of its log into a file that it never syncs if the
/// leaf is larger than a quarter of a segment; see `layout`.
pub const MAX_DIM: usize = 8192;

/// The vector index settings given when the collection was created; the index chooses the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorIndex {
    /// The kind of index.
    #[serde(default, deserialize_with = "null_is_auto")]
    pub kind: VectorIndexKind,
    /// Number of links per vector of a graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub m: Option<usize>,
    /// Number of candidates while a graph is built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ef_construction: Option<usize>,
    /// Number of candidates while a graph is searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ef: Option<usize>,
    /// Number of lists of an inverted file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nlist: Option<usize>,
    /// Number of lists that a search scans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nprobe: Option<usize>,
    /// Bytes per product-quantised vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pq_m: Option<usize>,
    /// Number of new vectors that are kept in memory before they become a segment on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal_at: Option<usize>,
}

fn null_is_auto<'de, D: Deserializer<'de>>(kind: D) -> Result<VectorIndexKind, D::Error> {
    Option::deserialize(kind).map(Option::unwrap_or_default)
}

/// The kind of a vector index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VectorIndexKind {
    #[default]
    /// Chosen by the number of vectors.
    Auto,
    /// Exact search.
    Flat,
    /// A graph.
    Hnsw,
    /// An inverted file of product-quantised vectors.
    IvfPq,
    /// Scalar quantisation to 8 bits.
    Sq8,
}
