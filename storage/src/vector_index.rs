//! How a collection wants its vectors indexed. What the numbers mean is the index's business.

use serde::{Deserialize, Deserializer, Serialize};

/// What was asked for when the collection was made; what was not is left to the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorIndex {
    #[serde(default, deserialize_with = "null_is_auto")]
    pub kind: VectorIndexKind,
    /// Links of each vector in a graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub m: Option<usize>,
    /// Candidates while a graph is built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ef_construction: Option<usize>,
    /// Candidates while a graph is searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ef: Option<usize>,
    /// Lists of an inverted file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nlist: Option<usize>,
    /// Lists that a search looks into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nprobe: Option<usize>,
    /// Bytes of a product code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pq_m: Option<usize>,
    /// New vectors that are kept in memory before they become a segment on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal_at: Option<usize>,
}

fn null_is_auto<'de, D: Deserializer<'de>>(kind: D) -> Result<VectorIndexKind, D::Error> {
    Option::deserialize(kind).map(Option::unwrap_or_default)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VectorIndexKind {
    #[default]
    Auto,
    Flat,
    Hnsw,
    IvfPq,
    Sq8,
}
