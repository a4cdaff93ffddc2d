//! Rows, the indexed versions of documents, and hits. A leaf: it knows no index.

use serde_json::{Map, Value};

/// Maximum dimension of a vector: larger than any dual encoder's and small enough for FAISS's `int`.
pub(crate) const MAX_DIMENSIONS: usize = 65_536;

/// The key of one stored version of a document. A replaced document gets a new key, and no key is
/// ever reused, so an index is up to date exactly if its rows are the stored ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u64);

/// The kind of a document's vector: of its image or of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VectorKind {
    /// The image tower's vector of the image.
    Image,
    /// The text tower's vector of the text.
    Text,
}

/// The kind of a ranked list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListKind {
    /// BM25 over text and string metadata.
    Keyword,
    /// The query's vector against image vectors.
    Image,
    /// The query's vector against text vectors.
    Text,
}

impl ListKind {
    /// Whether it finds documents by their text.
    pub(crate) fn finds_texts(self) -> bool {
        match self {
            Self::Keyword | Self::Text => true,
            Self::Image => false,
        }
    }
}

impl ListKind {
    /// The vectors of the list; `None` for keywords.
    pub fn vectors(self) -> Option<VectorKind> {
        match self {
            Self::Keyword => None,
            Self::Image => Some(VectorKind::Image),
            Self::Text => Some(VectorKind::Text),
        }
    }
}

impl From<VectorKind> for ListKind {
    fn from(kind: VectorKind) -> Self {
        match kind {
            VectorKind::Image => Self::Image,
            VectorKind::Text => Self::Text,
        }
    }
}

/// The indexed version of a document, borrowed.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// Its key.
    pub id: RowId,
    /// The id of the document, for filters and sorting.
    pub document: &'a str,
    /// Its text, for keyword search.
    pub text: Option<&'a str>,
    /// Its metadata. Keyword search finds its strings, and `field:word` a field.
    pub metadata: &'a Map<String, Value>,
    /// Its vectors, each of the index's dimension. A long text has one for each passage, in the
    /// order of the passages.
    pub vectors: Vec<(VectorKind, &'a [f32])>,
}

/// A [`Row`] that owns its data, as read from the source of truth.
#[derive(Debug, Clone)]
pub struct OwnedRow {
    /// Its key.
    pub id: RowId,
    /// The document's id.
    pub document: String,
    /// Its text.
    pub text: Option<String>,
    /// Its metadata.
    pub metadata: Map<String, Value>,
    /// Its vectors.
    pub vectors: Vec<(VectorKind, Vec<f32>)>,
}

impl OwnedRow {
    /// The same row, borrowed.
    pub fn as_row(&self) -> Row<'_> {
        Row {
            id: self.id,
            document: &self.document,
            text: self.text.as_deref(),
            metadata: &self.metadata,
            vectors: self
                .vectors
                .iter()
                .map(|(kind, vector)| (*kind, vector.as_slice()))
                .collect(),
        }
    }
}

/// A hit of one ranked list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// The row.
    pub row: RowId,
    /// Inner product or BM25 score; higher is better.
    pub score: f32,
    /// The passage whose vector is nearest to the query; 0 in the keyword list.
    pub passage: u16,
}
