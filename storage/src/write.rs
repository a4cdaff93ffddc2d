//! Writes to a collection, and their outcomes.

use bytes::Bytes;

use crate::{
    CollectionDefinition, DocumentId, DocumentKey, MAX_PASSAGES, Metadata, Passage, StorageError,
    Vector, VectorKind,
};

/// One change. In a group, a later write sees what the earlier ones did.
#[derive(Clone, Debug)]
pub enum Write {
    /// Add a document or replace all of it.
    Put(NewDocument),
    /// Change some parts of a document.
    Patch(Patch),
    /// Merge metadata (RFC 7396: `null` removes a field); text, image and vectors stay.
    Merge {
        /// The document.
        id: DocumentId,
        /// The patch of its metadata.
        metadata: Metadata,
    },
    /// Delete a document.
    Delete(DocumentId),
    /// Delete a document unless it was replaced since this version was read.
    DeleteVersion {
        /// The document.
        id: DocumentId,
        /// The version that was read.
        key: DocumentKey,
    },
}

impl Write {
    /// The document that is written.
    pub fn id(&self) -> &DocumentId {
        match self {
            Write::Put(document) => &document.id,
            Write::Patch(patch) => &patch.id,
            Write::Merge { id, .. } | Write::Delete(id) | Write::DeleteVersion { id, .. } => id,
        }
    }
}

/// Decides whether the metadata of a document may change from the first to the second value; `None` is
/// an absent document, or one that is corrupt. Called for each write of a group with the state after
/// the previous one. Deletions are reported, and never refused.
pub type Guard<'a> = &'a mut dyn FnMut(Option<&Metadata>, Option<&Metadata>) -> bool;

impl Write {
    /// Fails unless the write is valid for this collection.
    pub(crate) fn check(&self, definition: &CollectionDefinition) -> Result<(), StorageError> {
        self.refusal(definition.dim).map_or(Ok(()), |reason| {
            Err(StorageError::InvalidWrite {
                id: self.id().clone(),
                reason,
            })
        })
    }

    /// The approximate number of bytes that it adds.
    pub(crate) fn bytes(&self) -> u64 {
        let image = |image: &NewImage| image.bytes.len();
        let bytes = match self {
            Write::Put(document) => {
                let vectors: usize = document
                    .vectors
                    .iter()
                    .map(|(_, v)| size_of_val(&v[..]))
                    .sum();
                document.image.as_ref().map_or(0, image)
                    + document.text.as_ref().map_or(0, String::len)
                    + vectors
            }
            Write::Patch(patch) => match &patch.image {
                FieldUpdate::Set((new, _)) => image(new),
                FieldUpdate::Keep | FieldUpdate::Remove => 0,
            },
            Write::Merge { .. } | Write::Delete(_) | Write::DeleteVersion { .. } => 0,
        };
        bytes as u64
    }

    fn refusal(&self, dim: usize) -> Option<String> {
        match self {
            Write::Put(document) => {
                let vectors = &document.vectors;
                if document.text.is_none() && document.image.is_none() && vectors.is_empty() {
                    return Some("it has no text, no image and no vector".into());
                }
                let of_kind = |kind| vectors.iter().filter(|vector| vector.0 == kind).count();
                if of_kind(VectorKind::Image) > 1 {
                    return Some("it has two image vectors".into());
                }
                let text = document.text.as_deref();
                let texts = of_kind(VectorKind::Text);
                invalid_passages(text, &document.passages, texts).or_else(|| {
                    vectors
                        .iter()
                        .find_map(|(_, vector)| invalid_vector(vector, dim))
                })
            }
            Write::Patch(patch) => {
                let text = match &patch.text {
                    FieldUpdate::Set(text) => {
                        invalid_passages(Some(&text.text), &text.passages, text.vectors.len())
                            .or_else(|| {
                                text.vectors
                                    .iter()
                                    .find_map(|vector| invalid_vector(vector, dim))
                            })
                    }
                    FieldUpdate::Keep | FieldUpdate::Remove => None,
                };
                text.or_else(|| match &patch.image {
                    FieldUpdate::Set((_, vector)) => invalid_vector(vector, dim),
                    FieldUpdate::Keep | FieldUpdate::Remove => None,
                })
            }
            Write::Merge { .. } | Write::Delete(_) | Write::DeleteVersion { .. } => None,
        }
    }
}

/// Why a text with these passages and this number of vectors is invalid. A text has one vector, or one
/// per passage, of which there are at most [`MAX_PASSAGES`].
pub(crate) fn invalid_passages(
    text: Option<&str>,
    passages: &[Passage],
    vectors: usize,
) -> Option<String> {
    if vectors > MAX_PASSAGES {
        return Some(format!(
            "its text has {vectors} vectors, more than {MAX_PASSAGES}"
        ));
    }
    if passages.is_empty() {
        return (vectors > 1).then(|| "its text has several vectors and no passages".into());
    }
    if passages.len() != vectors {
        return Some(format!(
            "its text has {} passages and {vectors} vectors",
            passages.len()
        ));
    }
    let lies_within = |passage: &Passage| {
        text.and_then(|text| text.get(passage.start as usize..passage.end as usize))
            .is_some()
    };
    (!passages.iter().all(lies_within)).then(|| "a passage is outside of its text".into())
}

/// Why the vector is invalid for a collection with `dim` dimensions.
pub(crate) fn invalid_vector(vector: &[f32], dim: usize) -> Option<String> {
    if vector.len() != dim {
        return Some(format!(
            "its vector has {} dimensions, not {dim}",
            vector.len()
        ));
    }
    vector
        .iter()
        .position(|x| !x.is_finite())
        .map(|at| format!("dimension {at} of its vector is {}", vector[at]))
}

/// A complete document to store. It has a text, an image or at least a vector.
#[derive(Clone, Debug)]
pub struct NewDocument {
    /// The id of the document.
    pub id: DocumentId,
    /// The text, if there is one.
    pub text: Option<String>,
    /// Whether the vector covers only the beginning of `text`.
    pub text_truncated: bool,
    /// As in [`Document::passages`](crate::Document::passages).
    pub passages: Vec<Passage>,
    /// The image, if there is one.
    pub image: Option<NewImage>,
    /// The metadata; an empty object if there is none.
    pub metadata: Metadata,
    /// At most one vector of the image, and one of the text or one per passage.
    pub vectors: Vec<Vector>,
}

/// The original bytes of an image, and the properties in their header.
#[derive(Clone, Debug)]
pub struct NewImage {
    /// The original bytes.
    pub bytes: Bytes,
    /// The media type, such as `image/png`.
    pub media_type: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// Changes to parts of a stored document. A part includes its vector; parts that are kept have their
/// value at the time of the commit.
#[derive(Clone, Debug)]
pub struct Patch {
    /// The document.
    pub id: DocumentId,
    /// The text.
    pub text: FieldUpdate<NewText>,
    /// The image and its vector.
    pub image: FieldUpdate<(NewImage, Vec<f32>)>,
    /// The patch of the metadata, merged as in RFC 7396.
    pub metadata: Metadata,
}

/// A text with its vector or those of its passages.
#[derive(Clone, Debug)]
pub struct NewText {
    /// The text.
    pub text: String,
    /// Whether the vector covers only the beginning of the text.
    pub truncated: bool,
    /// The passages; empty if there is one vector.
    pub passages: Vec<Passage>,
    /// One vector, or one per passage.
    pub vectors: Vec<Vec<f32>>,
}

/// A change of one part of a document.
#[derive(Clone, Debug)]
pub enum FieldUpdate<T> {
    /// The part stays unchanged.
    Keep,
    /// The part is removed.
    Remove,
    /// The part gets this value.
    Set(T),
}

/// The outcome of one write. A version that a later write of the same group has replaced was never
/// readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The document is new.
    Created {
        /// Its version.
        key: DocumentKey,
    },
    /// The document has a new version.
    Updated {
        /// The new version.
        key: DocumentKey,
        /// The previous version.
        replaced: DocumentKey,
    },
    /// The document was deleted.
    Deleted {
        /// The deleted version.
        key: DocumentKey,
    },
    /// The document, or the version, does not exist; nothing was changed.
    NotFound,
    /// The document would have no text, no image and no vector; nothing was changed.
    NothingLeft,
    /// The [`Guard`] refused the write; nothing was changed.
    Refused,
}

/// The result of a durable group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The sequence of the collection after the group. It increases by one with each group that
    /// changes anything.
    pub sequence: u64,
    /// The outcome of each write, in order.
    pub outcomes: Vec<Outcome>,
}
