//! What may be asked of a collection, and what came of it.

use bytes::Bytes;

use crate::{DocumentId, DocumentKey, Vector};

/// A document's metadata: any JSON object.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// One change. In a group, a later write sees what the earlier ones did.
#[derive(Clone, Debug)]
pub enum Write {
    /// Add a document or replace all of it.
    Put(NewDocument),
    /// Change some parts of a document and keep the others.
    Revise(Revision),
    /// Merge metadata (RFC 7396: `null` removes a field); text, image and vectors stay.
    Merge {
        id: DocumentId,
        metadata: Metadata,
    },
    Delete(DocumentId),
}

impl Write {
    pub fn id(&self) -> &DocumentId {
        match self {
            Write::Put(document) => &document.id,
            Write::Revise(revision) => &revision.id,
            Write::Merge { id, .. } | Write::Delete(id) => id,
        }
    }
}

/// A whole document to store. It has a text, an image or both.
#[derive(Clone, Debug)]
pub struct NewDocument {
    pub id: DocumentId,
    pub text: Option<String>,
    pub text_truncated: bool,
    pub image: Option<NewImage>,
    pub metadata: Metadata,
    /// At most one of each kind.
    pub vectors: Vec<Vector>,
}

/// An image's original bytes and what their header said.
#[derive(Clone, Debug)]
pub struct NewImage {
    pub bytes: Bytes,
    pub media_type: String,
    pub width: u32,
    pub height: u32,
}

/// Changes to a stored document. A part goes together with its vector, so that what is kept is
/// what is stored at the moment of the commit.
#[derive(Clone, Debug)]
pub struct Revision {
    pub id: DocumentId,
    pub text: Part<NewText>,
    pub image: Part<(NewImage, Vec<f32>)>,
    /// Merged as RFC 7396 says.
    pub metadata: Metadata,
}

/// A text, its vector, and whether the model saw only its beginning.
#[derive(Clone, Debug)]
pub struct NewText {
    pub text: String,
    pub truncated: bool,
    pub vector: Vec<f32>,
}

/// What a revision does to one part of a document.
#[derive(Clone, Debug)]
pub enum Part<T> {
    Keep,
    Remove,
    Replace(T),
}

/// What came of one write. A key that a later write of the same group replaced was never readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created {
        key: DocumentKey,
    },
    Updated {
        key: DocumentKey,
        replaced: DocumentKey,
    },
    Deleted {
        key: DocumentKey,
    },
    /// There is no such document to revise, merge into or delete: nothing was changed.
    NotFound,
    /// The revision would leave neither text nor image: nothing was changed.
    NothingLeft,
}

/// A group that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The collection's sequence after the group; it rises by one with each group that changes
    /// anything.
    pub sequence: u64,
    /// One for each write, in order.
    pub outcomes: Vec<Outcome>,
}
