//! A document as it is stored and read back.

use serde::{Deserialize, Serialize};

use crate::{BlobHash, DocumentId, DocumentKey};

/// A document's metadata: any JSON object.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

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
    /// Where the passages lie that the text's vectors were made from, in their order; empty
    /// where one vector was made from the whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passages: Vec<Passage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<StoredImage>,
    pub metadata: Metadata,
    /// Unix milliseconds of the id's first write since it was last absent.
    pub created_at: u64,
    /// Unix milliseconds of this version's write.
    pub updated_at: u64,
}

/// A stretch of a text, from its first byte to the one after its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u32)", into = "(u32, u32)")]
pub struct Passage {
    pub start: u32,
    pub end: u32,
}

impl From<(u32, u32)> for Passage {
    fn from((start, end): (u32, u32)) -> Self {
        Passage { start, end }
    }
}

impl From<Passage> for (u32, u32) {
    fn from(passage: Passage) -> Self {
        (passage.start, passage.end)
    }
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

/// A document's vector of one kind, as long as its collection's `dim`. There is one of an image,
/// and one for each passage of a text, in their order.
pub type Vector = (VectorKind, Vec<f32>);
