//! The collections that a run writes to; a name tells what its documents are made of.

use serde_json::{Value, json};

/// A collection that all writers share and nobody drops.
pub(super) const SHARED: &str = "shared";

/// The same, of documents that bring their vectors.
pub(super) const GIVEN: &str = "given";

/// Collections that are restored snapshots begin like this.
pub(super) const RESTORED: &str = "restored-";

/// Numbers in a given vector.
pub(super) const DIM: usize = 16;

/// What a collection's documents are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// What the model makes of their texts and pictures.
    Embedded,
    /// Vectors that they bring: so cheap that segments are sealed, built and merged all the time.
    Given,
}

impl Sort {
    pub(super) fn of(collection: &str) -> Self {
        if collection.starts_with(GIVEN) {
            Self::Given
        } else {
            Self::Embedded
        }
    }

    /// The body that makes the collection.
    pub(super) fn definition(collection: &str) -> Value {
        match Self::of(collection) {
            Self::Embedded => json!({}),
            // All writers together have enough for a graph, which takes its time; one alone only
            // for merges.
            Self::Given => {
                let index = if collection == GIVEN {
                    json!({ "kind": "hnsw", "ef_construction": 2000, "seal_at": 64 })
                } else {
                    json!({ "seal_at": 16 })
                };
                json!({ "model": "none", "dim": DIM, "index": index })
            }
        }
    }

    /// Ids that one writer uses in one collection.
    pub(super) fn ids(self) -> usize {
        match self {
            Self::Embedded => 60,
            Self::Given => 600,
        }
    }

    /// The most documents of one request.
    pub(super) fn batch(self) -> usize {
        match self {
            Self::Embedded => 12,
            Self::Given => 160,
        }
    }
}
