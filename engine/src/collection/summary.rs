//! Summaries of collections, for lists.

use crate::collection::definition::FieldDefinitions;
use crate::collection::vector_index;
use crate::error::CatchingUp;

/// A collection in `GET /collections`.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum CollectionSummary {
    /// The collection is online.
    Open(Box<OpenSummary>),
    /// The collection is corrupt and offline.
    Damaged(DamagedSummary),
}

/// The summary of a corrupt collection.
#[derive(Debug, Clone, serde::Serialize)]
pub struct DamagedSummary {
    /// Its name.
    pub name: String,
    /// The name of its model.
    pub model: String,
    /// The dimensions of its vectors.
    pub dim: usize,
    /// The corrupt part, and how it is corrupt.
    pub reason: String,
    /// When it was created, in Unix milliseconds.
    pub created_at: u64,
}

/// The response of `GET /collections/{name}`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct OpenSummary {
    /// Its name.
    pub name: String,
    /// The name of its model.
    pub model: String,
    /// The dimensions of its vectors.
    pub dim: usize,
    /// The number of documents.
    pub documents: u64,
    /// Image vectors; unknown if the indexes are not open and lack documents.
    pub images: Option<usize>,
    /// Text vectors; unknown if the indexes are not open and lack documents.
    pub texts: Option<usize>,
    /// The analyzer of texts and undeclared metadata.
    pub analyzer: String,
    /// The declared metadata fields.
    pub fields: FieldDefinitions,
    /// The configuration and the segments of the vector index.
    pub index: vector_index::IndexSummary,
    /// The progress of the indexes, while they lack documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catching_up: Option<CatchingUp>,
    /// When it was created, in Unix milliseconds.
    pub created_at: u64,
}
