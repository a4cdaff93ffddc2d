//! Documents as they are stored and read.

use serde::{Deserialize, Serialize};

use crate::{BlobHash, DocumentId, DocumentKey};

/// A document's metadata: any JSON object.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// One stored version of a document. Its serde form is the record on disk: an incompatible change is a
/// change of format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The id that the user has given.
    pub id: DocumentId,
    /// The key of this version. Stored in the key of the record.
    #[serde(skip)]
    pub key: DocumentKey,
    /// The text, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether the vector covers only the beginning of `text`.
    pub text_truncated: bool,
    /// The passages of the text, one per text vector, in the same order; empty if one vector covers
    /// the whole text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passages: Vec<Passage>,
    /// The image, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<StoredImage>,
    /// The metadata; an empty object if there is none.
    pub metadata: Metadata,
    /// The time in Unix milliseconds when the document was created.
    pub created_at: u64,
    /// The time in Unix milliseconds when this version was written.
    pub updated_at: u64,
}

/// A range of bytes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u32)", into = "(u32, u32)")]
pub struct Passage {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
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

/// The description of a stored image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredImage {
    /// The hash of the original bytes.
    pub hash: BlobHash,
    /// The media type, such as `image/png`.
    pub media_type: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// The length of the original bytes.
    pub bytes: u64,
}

/// The source of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VectorKind {
    /// The vector of an image.
    Image,
    /// The vector of a text or a passage.
    Text,
}

/// A vector of a document, with the `dim` of its collection. An image has one vector; a text has one,
/// or one per passage in their order.
pub type Vector = (VectorKind, Vec<f32>);
