//! The crate's one error type.

use std::io;
use std::path::PathBuf;

use crate::row::RowId;
use crate::words::QueryTooLarge;

/// What can go wrong in an index. None of these loses a document: the index is derived,
/// and reopening and reconciling it brings it back.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A vector's or a query's length is not the collection's.
    #[error(
        "a vector of {got} numbers met an index of {expected} dimensions; embed it with the collection's model"
    )]
    Dimension {
        /// Dimensions of the index.
        expected: usize,
        /// Length of the vector that came.
        got: usize,
    },
    /// A vector or a query holds NaN or an infinity, whose inner product orders nothing.
    #[error(
        "a vector holds a number that is not finite; check the model's output or the query's weights"
    )]
    NotFinite,
    /// A dimension of zero or beyond what FAISS can address.
    #[error("{0} is no usable number of dimensions; it must lie between 1 and {max}", max = crate::vectors::MAX_DIMENSIONS)]
    BadDimension(usize),
    /// A set of rows up to this one would be too large.
    #[error("row {} exceeds the largest row an index can hold, {max}", .0.0, max = crate::vectors::MAX_ROW)]
    RowTooLarge(RowId),
    /// A row has more vectors of one kind than can be told apart.
    #[error("row {} has more than 65,536 vectors of one kind; split its text over several documents", .0.0)]
    TooManyPassages(RowId),
    /// A keyword query asks more than one may.
    #[error(transparent)]
    QueryTooLarge(#[from] QueryTooLarge),
    /// FAISS refused an operation.
    #[error("FAISS could not {doing}: {reason}")]
    Faiss {
        /// What was attempted.
        doing: &'static str,
        /// FAISS's own words.
        reason: String,
    },
    /// Tantivy refused an operation.
    #[error("tantivy could not {doing}: {source}")]
    Tantivy {
        /// What was attempted.
        doing: &'static str,
        /// Tantivy's own words.
        #[source]
        source: Box<tantivy::TantivyError>,
    },
    /// A file of the index could not be read or written.
    #[error("could not {doing} {path}: {source}; check the disk's space and permissions", path = path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
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

/// Why bringing an index up to date stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError<E> {
    /// The caller's `fetch` failed for a row; the batches before it are in the index.
    #[error("row {} could not be read from the source of truth: {cause}", row.0)]
    Fetch {
        /// The row that was asked for.
        row: RowId,
        /// The caller's error.
        cause: E,
    },
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}
