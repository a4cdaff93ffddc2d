//! What a collection shows of itself in lists.

use crate::collection::definition::FieldDefinitions;
use crate::collection::vector_index;
use crate::error::CatchingUp;

/// What `GET /collections` tells of each.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum CollectionSummary {
    Open(Box<OpenSummary>),
    Damaged(DamagedSummary),
}

/// What is known of a collection that is not served.
#[derive(Debug, Clone, serde::Serialize)]
pub struct DamagedSummary {
    pub name: String,
    pub model: String,
    pub dim: usize,
    /// What of it is damaged, and how.
    pub reason: String,
    pub created_at: u64,
}

/// What `GET /collections/{name}` tells.
#[derive(Debug, Clone, serde::Serialize)]
pub struct OpenSummary {
    pub name: String,
    pub model: String,
    pub dim: usize,
    pub documents: u64,
    /// Vectors of images and of texts; not known of indexes that are not open and lack documents.
    pub images: Option<usize>,
    pub texts: Option<usize>,
    /// Of texts and undeclared metadata.
    pub analyzer: String,
    pub fields: FieldDefinitions,
    pub index: vector_index::IndexSummary,
    /// How far the indexes have come, while they lack documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catching_up: Option<CatchingUp>,
    pub created_at: u64,
}
