//! What is indexed of one version of a document, and how hits are named.

use serde_json::{Map, Value};

/// The key of one stored version of a document. A replaced document has a new one; none is
/// ever used again, so an index is right exactly when its rows are the stored ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u64);

/// Which of a document's vectors: its picture's or its text's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VectorKind {
    /// The image tower's vector of the picture.
    Image,
    /// The text tower's vector of the text.
    Text,
}

/// One of the ranked lists that a search can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListKind {
    /// BM25 over text and string metadata.
    Keyword,
    /// The query's vector against the pictures' vectors.
    Image,
    /// The query's vector against the texts' vectors.
    Text,
}

impl From<VectorKind> for ListKind {
    fn from(kind: VectorKind) -> Self {
        match kind {
            VectorKind::Image => Self::Image,
            VectorKind::Text => Self::Text,
        }
    }
}

/// A document's version as the indexes see it.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// Its key.
    pub id: RowId,
    /// The id of the document, for filters and order.
    pub document: &'a str,
    /// Its text, searched by words.
    pub text: Option<&'a str>,
    /// Its metadata, whose strings are searched by words and whose fields by `field:word`.
    pub metadata: &'a Map<String, Value>,
    /// Its vectors, each as long as the index's dimension. A long text has several: the first
    /// is its passage 0, the next its passage 1.
    pub vectors: Vec<(VectorKind, &'a [f32])>,
}

/// A [`Row`] that owns its parts, as read back from the source of truth.
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

/// A row and what one list thinks of it: an inner product or a BM25 score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// The row found.
    pub row: RowId,
    /// Higher is better.
    pub score: f32,
    /// Which of the row's vectors of the list's kind came nearest; 0 in the keyword list.
    pub passage: u16,
}
