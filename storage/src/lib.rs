//! clipdb's source of truth: documents, vectors and collection definitions in sled, and image bytes in
//! content-addressed files next to it. A group of writes that [`CollectionStore::commit`] has
//! acknowledged survives `kill -9` and power loss. All indexes are derived from this data and may be
//! deleted.
//!
//! Start with [`Store`] (a locked data folder), [`CollectionStore`] (the documents of one collection)
//! and [`Write`] (one change of a group).
//!
//! This crate does not search, embed or use HTTP. All calls block.

#![warn(missing_docs)]

mod ballast;
mod blobs;
mod catalog;
mod check;
mod clock;
mod collection;
mod commit;
mod counters;
mod database;
mod definition;
mod document;
mod durable_sequences;
mod error;
mod fault;
mod files;
mod folder;
mod frame;
mod handle;
mod hash;
mod heal;
mod id;
mod images;
mod invalid;
mod layout;
mod lock;
mod name;
mod options;
mod permissions;
mod plan;
mod record;
mod retry;
mod snapshot;
mod stop;
mod store;
mod tree;
mod vector_index;
mod write;

pub use check::{CheckMode, CheckReport, Finding, FindingKind, FindingSubject, check};
pub use collection::CollectionStore;
pub use definition::{CollectionDefinition, FieldDefinition, FieldKind, MAX_PASSAGES};
pub use document::{Document, Metadata, Passage, StoredImage, Vector, VectorKind};
pub use error::StorageError;
#[cfg(feature = "fault-injection")]
pub use fault::CommitStep;
pub use handle::DamagedCollection;
pub use hash::BlobHash;
pub use id::{DocumentId, DocumentKey};
pub use invalid::InvalidValue;
pub use name::CollectionName;
pub use options::StoreOptions;
pub use snapshot::{
    Manifest, PendingRestore, Progress, SnapshotId, SnapshotInfo, SnapshotStore, read_manifest,
};
pub use stop::Stopped;
pub use store::{Creation, Store};
pub use vector_index::{MAX_DIM, VectorIndex, VectorIndexKind};
pub use write::{
    Committed, FieldUpdate, Guard, NewDocument, NewImage, NewText, Outcome, Patch, Write,
};
