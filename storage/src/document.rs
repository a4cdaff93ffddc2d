//! A document as it is stored and read back.

use serde::{Deserialize, Serialize};

use crate::{BlobHash, DocumentId, DocumentKey, Metadata};

/// One stored version of a document. Its serde form is the record on disk: a change to it that old
/// records do not fit is a change of format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    pub id: DocumentId,
    /// Stands in the record's own key.
    #[serde(skip)]
    pub key: DocumentKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether the model saw only the beginning of `text`.
    pub text_truncated: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<StoredImage>,
    pub metadata: Metadata,
    /// Unix milliseconds of the id's first write since it was last absent.
    pub created_at: u64,
    /// Unix milliseconds of this version's write.
    pub updated_at: u64,
}

/// What is known of a document's image without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredImage {
    pub hash: BlobHash,
    pub media_type: String,
    pub width: u32,
    pub height: u32,
    /// Length of the original bytes.
    pub bytes: u64,
}

/// What a vector was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VectorKind {
    Image,
    Text,
}

/// A document's vector of one kind, as long as its collection's `dim`.
pub type Vector = (VectorKind, Vec<f32>);
