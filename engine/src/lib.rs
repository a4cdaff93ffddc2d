//! clipdb's engine: ingest, search and inference, independent of any protocol.
//!
//! This is the only crate that uses storage, index and embed together. A protocol parses a request
//! into one of the types below, calls one method of [`Engine`], and maps the result or the
//! [`EngineError`].
//!
//! Start with three types: [`Engine`], the open database; [`Draft`], a document to be ingested; and
//! [`Query`], a search request.

#![warn(missing_docs)]

mod blocking;
mod check;
mod collection;
mod documents;
mod engine;
mod error;
mod excerpt;
mod fan_out;
mod image_source;
mod inference;
mod memory_budget;
mod metrics;
mod models;
mod recall;
mod search;
mod settings;
mod snapshots;
mod start;
mod tasks;
#[cfg(test)]
mod testing;
mod url_fetch;

pub use blocking::blocking;
pub use check::check_folder;
pub use collection::collection::Collection;
pub use collection::committer::Ticket;
pub use collection::consistency::{Consistency, Difference};
pub use collection::definition::{CollectionSpec, FieldDefinitions, NO_MODEL};
pub use collection::field_limit::TooManyFields;
pub use collection::slot::Overview;
pub use collection::summary::{CollectionSummary, DamagedSummary, OpenSummary};
pub use documents::ingest::{Draft, Incoming, Ingested, Stored};
pub use documents::patch::Patch;
pub use engine::Engine;
pub use error::{CatchingUp, EngineError};
pub use excerpt::{bounded, excerpt};
pub use image_source::ImageSource;
pub use inference::encode::{Encoded, Input};
pub use inference::rank::{Ranked, Ranking, rank, rank_priority};
pub use memory_budget::{MemoryBudget, MemoryPermit};
pub use metrics::metric::{Labels, Metric, TableCollector, Value, describe};
pub use metrics::statistics::{SECONDS_BUCKETS, Statistics};
pub use models::Models;
pub use recall::{Recall, RecallRequest};
pub use search::confidence::Cut;
pub use search::passage::HitPassage;
pub use search::query::{Content, Mode, Part, Query, Targets};
pub use search::search::{Answer, Hit};
pub use search::timings::SearchTimings;
pub use search::totals::TotalKind;
pub use search::view::{Cursor, GroupBy, View};
pub use search::warning::Warning;
pub use settings::EngineSettings;
pub use snapshots::ArchiveSource;
pub use tasks::{Task, TaskError, TaskKind, TaskState, TaskView};
pub use url_fetch::UrlIngestSettings;

// Types of the lower crates that appear in this crate's API: protocols depend on the engine alone.
pub use clipdb_embed::image::{ImageLimits, png};
pub use clipdb_embed::{
    Devices, EmbedError, Embedding, Encoder, EncoderSettings, ImageError, ModelCard, ModelSource,
    Precision, Priority, QueueStatistics, StageStatistics, TextRole, sources,
};
pub use clipdb_index::fusion::{Fusion, Method, Weights};
pub use clipdb_index::{
    Facet, IndexError, LONGEST_PATH, ListKind, MOST_SORT_KEYS, Order, Point, fusion,
    set_build_threads, set_search_threads,
};
pub use clipdb_storage::{
    CheckMode, CheckReport, CollectionName, Document, DocumentId, FieldDefinition, FieldKind,
    FieldUpdate, Finding, FindingKind, InvalidValue, SnapshotId, StorageError, VectorIndex,
    VectorKind,
};
