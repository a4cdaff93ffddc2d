//! The state of an index on disk. A leaf: it knows no index.

use std::fmt;

use crate::row::RowId;

/// The state of a collection's indexes after opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// State of the vectors.
    pub vectors: State,
    /// State of the full-text index.
    pub words: State,
}

/// A collection's indexes on disk.
#[derive(Debug)]
pub struct Inspected {
    /// The vectors, or why they cannot be used.
    pub vectors: Result<SavedIndex, Reason>,
    /// The full-text index, or why it cannot be used.
    pub words: Result<SavedIndex, Reason>,
}

/// The content of one index on disk.
#[derive(Debug)]
pub struct SavedIndex {
    /// The sequence of the write after which it was saved; `None` if the latest rows were in
    /// memory only.
    pub sequence: Option<u64>,
    /// Its rows, ascending.
    pub rows: Vec<RowId>,
}

/// The content of one index after opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Complete as of the write of this sequence.
    Loaded {
        /// As passed to [`crate::CollectionIndex::apply`].
        sequence: u64,
    },
    /// Incomplete: the latest rows were in memory only, or files were corrupt.
    Partial {
        /// Corrupt parts that were left out.
        lost: Vec<String>,
    },
    /// Empty: existing files were deleted.
    Empty {
        /// Why.
        reason: Reason,
    },
}

impl State {
    /// The sequence that it holds; 0 unless it is complete.
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Loaded { sequence } => *sequence,
            Self::Partial { .. } | Self::Empty { .. } => 0,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loaded { sequence } => write!(f, "as of write {sequence}"),
            Self::Partial { lost } if lost.is_empty() => f.write_str("without the latest rows"),
            Self::Partial { lost } => write!(f, "without corrupt parts: {}", lost.join(", ")),
            Self::Empty { reason } => write!(f, "empty: {reason}"),
        }
    }
}

/// Why an index starts empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There was no index.
    Missing,
    /// It was made by another version or for another model.
    Format(String),
    /// A file is truncated, changed or missing.
    Corrupt(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there was no index"),
            Self::Format(what) => write!(f, "it has another format: {what}"),
            Self::Corrupt(what) => write!(f, "it is corrupt: {what}"),
        }
    }
}
