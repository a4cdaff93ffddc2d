//! What may be asked of a collection, and what came of it.

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
    /// Change some parts of a document and keep the others.
    Revise(Revision),
    /// Merge metadata (RFC 7396: `null` removes a field); text, image and vectors stay.
    Merge {
        id: DocumentId,
        metadata: Metadata,
    },
    Delete(DocumentId),
    /// Delete the document as long as this is its version: what was found by a look at it may
    /// have been replaced since.
    DeleteVersion {
        id: DocumentId,
        key: DocumentKey,
    },
}

impl Write {
    pub fn id(&self) -> &DocumentId {
        match self {
            Write::Put(document) => &document.id,
            Write::Revise(revision) => &revision.id,
            Write::Merge { id, .. } | Write::Delete(id) | Write::DeleteVersion { id, .. } => id,
        }
    }
}

/// Whether a document may go from the first metadata to the second; `None` where there is no
/// document, or where what is stored of it is damaged. Asked for one write of a group after the
/// other, as each finds it; that nothing is left can't be refused.
pub type Guard<'a> = &'a mut dyn FnMut(Option<&Metadata>, Option<&Metadata>) -> bool;

impl Write {
    /// Whether it can be committed to such a collection.
    pub(crate) fn check(&self, definition: &CollectionDefinition) -> Result<(), StorageError> {
        self.refusal(definition.dim).map_or(Ok(()), |reason| {
            Err(StorageError::InvalidWrite {
                id: self.id().clone(),
                reason,
            })
        })
    }

    /// What it brings, roughly.
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
            Write::Revise(revision) => match &revision.image {
                Part::Replace((new, _)) => image(new),
                Part::Keep | Part::Remove => 0,
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
                    return Some("it has two vectors of its image".into());
                }
                let text = document.text.as_deref();
                let texts = of_kind(VectorKind::Text);
                refuse_passages(text, &document.passages, texts).or_else(|| {
                    vectors
                        .iter()
                        .find_map(|(_, vector)| refuse_vector(vector, dim))
                })
            }
            Write::Revise(revision) => {
                let text = match &revision.text {
                    Part::Replace(text) => {
                        refuse_passages(Some(&text.text), &text.passages, text.vectors.len())
                            .or_else(|| {
                                text.vectors
                                    .iter()
                                    .find_map(|vector| refuse_vector(vector, dim))
                            })
                    }
                    Part::Keep | Part::Remove => None,
                };
                text.or_else(|| match &revision.image {
                    Part::Replace((_, vector)) => refuse_vector(vector, dim),
                    Part::Keep | Part::Remove => None,
                })
            }
            Write::Merge { .. } | Write::Delete(_) | Write::DeleteVersion { .. } => None,
        }
    }
}

/// A text has a vector or one for each passage, of which there are at most [`MAX_PASSAGES`].
pub(crate) fn refuse_passages(
    text: Option<&str>,
    passages: &[Passage],
    vectors: usize,
) -> Option<String> {
    if vectors > MAX_PASSAGES {
        return Some(format!(
            "its text has {vectors} vectors, over {MAX_PASSAGES}"
        ));
    }
    if passages.is_empty() {
        return (vectors > 1).then(|| "it has several vectors of its text and no passages".into());
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
    (!passages.iter().all(lies_within)).then(|| "a passage lies outside its text".into())
}

pub(crate) fn refuse_vector(vector: &[f32], dim: usize) -> Option<String> {
    if vector.len() != dim {
        return Some(format!(
            "its vector has {} dimensions, not {dim}",
            vector.len()
        ));
    }
    vector
        .iter()
        .position(|x| !x.is_finite())
        .map(|at| format!("number {at} of its vector is {}", vector[at]))
}

/// A whole document to store. It has a text, an image or at least a vector.
#[derive(Clone, Debug)]
pub struct NewDocument {
    pub id: DocumentId,
    pub text: Option<String>,
    pub text_truncated: bool,
    /// As in [`Document::passages`](crate::Document::passages).
    pub passages: Vec<Passage>,
    pub image: Option<NewImage>,
    pub metadata: Metadata,
    /// At most one of the image, and one of the text or one for each of its passages.
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

/// A text, its vector or those of its passages, and whether the model saw only its beginning.
#[derive(Clone, Debug)]
pub struct NewText {
    pub text: String,
    pub truncated: bool,
    pub passages: Vec<Passage>,
    pub vectors: Vec<Vec<f32>>,
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
    /// There is no such document, or version, to revise, merge into or delete: nothing was
    /// changed.
    NotFound,
    /// The revision would leave no text, no image and no vector: nothing was changed.
    NothingLeft,
    /// The [`Guard`] refused it: nothing was changed.
    Refused,
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
