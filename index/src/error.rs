//! The crate's one error type.

use std::io;
use std::path::PathBuf;

use crate::keyword_limits::QueryTooLarge;
use crate::row::{MAX_DIMENSIONS, RowId};

/// An error of an index. None of them loses a document: the index is derived, and reopening and
/// reconciling it restores it.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A vector or a query has another dimension than the collection.
    #[error(
        "the vector has {got} dimensions, the index has {expected}; embed it with the collection's model"
    )]
    Dimension {
        /// Dimensions of the index.
        expected: usize,
        /// Dimensions of the vector.
        got: usize,
    },
    /// A vector or a query contains NaN or an infinity, so its inner products cannot be ordered.
    #[error(
        "the vector contains a number that is not finite; check the model's output or the query's weights"
    )]
    NotFinite,
    /// The number of dimensions is zero or too large for FAISS.
    #[error("vectors cannot have {0} dimensions; the number must be from 1 to {MAX_DIMENSIONS}")]
    BadDimension(usize),
    /// A row has more vectors of one kind than there are passage numbers.
    #[error("row {} has more than 65,536 vectors of one kind; split its text into several documents", .0.0)]
    TooManyPassages(RowId),
    /// A keyword query exceeds a limit.
    #[error(transparent)]
    QueryTooLarge(#[from] QueryTooLarge),
    /// FAISS failed.
    #[error("FAISS could not {doing}: {reason}")]
    Faiss {
        /// The operation, after "could not".
        doing: &'static str,
        /// FAISS's message.
        reason: String,
    },
    /// Tantivy failed.
    #[error("tantivy could not {doing}: {source}")]
    Tantivy {
        /// The operation, after "could not".
        doing: &'static str,
        /// Tantivy's error.
        #[source]
        source: Box<tantivy::TantivyError>,
    },
    /// A file of the index could not be read or written.
    #[error("could not {doing} {path}: {source}; check the disk's space and permissions", path = path.display())]
    Io {
        /// The operation, after "could not".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
}

impl IndexError {
    pub(crate) fn tantivy(doing: &'static str) -> impl FnOnce(tantivy::TantivyError) -> Self {
        move |source| Self::Tantivy {
            doing,
            source: Box::new(source),
        }
    }

    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}

/// Why reconciling an index stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError<E> {
    /// The caller's `fetch` failed for a row. The batches before it are in the index.
    #[error("could not read row {} from the source of truth: {cause}", row.0)]
    Fetch {
        /// The requested row.
        row: RowId,
        /// The caller's error.
        cause: E,
    },
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}
