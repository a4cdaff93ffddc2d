//! Derived indexes of one collection: FAISS over vectors, tantivy over words, and the
//! fusion of the ranked lists they answer with.
//!
//! Everything here follows from the stored documents and may be deleted at any time: a
//! file that is missing, old or damaged is wiped and reported, and
//! [`CollectionIndex::reconcile`] fills it again. This crate knows neither storage nor
//! models nor HTTP and touches no file outside the folder it is opened on.
//!
//! The types to know: [`CollectionIndex`] (open, apply, search, save), [`Row`] (what is
//! indexed of one version of a document), [`Filter`] (which rows count) and
//! [`fusion::Fusion`] (ranked lists into one).

mod bits;
mod collection;
mod columns;
mod error;
mod fault;
pub mod filter;
pub mod fusion;
#[cfg(fuzzing)]
pub mod fuzzing;
mod reconcile;
mod row;
mod row_set;
mod vectors;
mod words;

pub use collection::{
    CollectionIndex, Configuration, Held, Inspected, Opened, Reason, State, Statistics,
};
pub use columns::{
    Facet, Facets, FieldType, Fields, Group, LONGEST_PATH, MOST_SORT_KEYS, Order, Ordered, Place,
    Point, TypeConflict, field_paths,
};
pub use error::{IndexError, ReconcileError};
pub use fault::WriteStep;
pub use filter::{Filter, FilterError};
pub use reconcile::Reconciled;
pub use row::{ListKind, OwnedRow, Row, RowId, Scored, VectorKind};
pub use row_set::RowSet;
pub use vectors::{
    Builds, BuiltKind, Compared, IndexKind, Nearest, SegmentSize, VectorSettings,
    set_build_threads, set_search_threads,
};
pub use words::{
    Analyzer, FieldWording, Highlighter, KeywordHits, KeywordQuery, QueryTooLarge, UnknownAnalyzer,
    Wording, set_open_writers,
};
