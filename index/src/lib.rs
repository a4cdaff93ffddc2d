//! Derived indexes of one collection: vectors in FAISS, text and metadata in tantivy, and the
//! fusion of ranked lists.
//!
//! Everything here is derived from the stored documents and may be deleted at any time: a file that
//! is missing, old or corrupt is deleted and reported, and [`CollectionIndex::reconcile`] restores
//! its content. This crate knows neither storage nor models nor HTTP, and it accesses no file
//! outside the folder that it was opened on.
//!
//! The main types are [`CollectionIndex`] (open, apply, search, save), [`Row`] (the indexed version
//! of a document), [`Filter`] (the rows that may be returned) and [`fusion::Fusion`] (several
//! ranked lists into one).
#![warn(missing_docs)]

mod bits;
mod collection;
mod columns;
mod error;
mod fault;
pub mod filter;
mod fulltext;
pub mod fusion;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod keyword_limits;
mod reconcile;
mod row;
mod row_set;
mod saved_state;
mod vectors;

pub use collection::{CollectionIndex, Configuration, Statistics};
pub use columns::{
    Facet, Facets, FieldType, Fields, Group, LONGEST_PATH, MOST_SORT_KEYS, Order, Ordered, Point,
    SortKey, TypeConflict, field_paths,
};
pub use error::{IndexError, ReconcileError};
pub use fault::WriteStep;
pub use filter::{Filter, FilterError};
pub use fulltext::{
    Analyzer, FieldTextConfig, Highlighter, KeywordHits, KeywordQuery, TextConfig, UnknownAnalyzer,
    set_open_writers,
};
pub use keyword_limits::QueryTooLarge;
pub use reconcile::Reconciled;
pub use row::{ListKind, OwnedRow, Row, RowId, Scored, VectorKind};
pub use row_set::RowSet;
pub use saved_state::{Inspected, Opened, Reason, SavedIndex, State};
pub use vectors::{
    Background, Builds, BuiltKind, Compared, Cosines, IndexKind, Nearest, SegmentSize,
    VectorSettings, set_build_threads, set_search_threads,
};
