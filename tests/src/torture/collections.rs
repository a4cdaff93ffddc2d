//! The collections that a run writes to. The name of a collection determines its kind.

use serde_json::{Value, json};

/// A collection that all writers share and none drops.
pub(super) const SHARED: &str = "shared";

/// Another shared collection, of documents with given vectors.
pub(super) const GIVEN: &str = "given";

/// The prefix of collections that are restored from snapshots.
pub(super) const RESTORED: &str = "restored-";

/// Dimensions of a given vector.
pub(super) const DIM: usize = 16;

/// The source of a collection's vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CollectionKind {
    /// The model encodes the texts and images.
    Embedded,
    /// The documents contain their vectors. Writes are so cheap that segments are sealed, built and
    /// merged all the time.
    Given,
}

impl CollectionKind {
    pub(super) fn of(collection: &str) -> Self {
        if collection.starts_with(GIVEN) {
            Self::Given
        } else {
            Self::Embedded
        }
    }

    /// The body of the request that creates the collection.
    pub(super) fn definition(collection: &str) -> Value {
        match Self::of(collection) {
            Self::Embedded => json!({}),
            // All writers together write enough for a graph, which is slow to build; one alone
            // writes only enough for merges.
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

    /// The number of ids that one writer uses in one collection.
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
