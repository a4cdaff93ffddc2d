//! clipdb's source of truth: documents, vectors and collection definitions in sled, image bytes as
//! content-addressed files beside it. Whatever [`CollectionStore::commit`] has returned survives
//! kill -9 and power loss; every index elsewhere is derived from here and may be deleted.
//!
//! Start with [`Store`] (one data folder, locked), [`CollectionStore`] (one collection's documents)
//! and [`Write`] (what a group of changes is made of).
//!
//! This crate searches nothing, embeds nothing and knows no HTTP. All of it blocks: call it from a
//! thread that may.

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
mod error;
mod fault;
mod files;
mod folder;
mod frame;
mod hash;
mod heal;
mod held;
mod id;
mod images;
mod layout;
mod lock;
mod name;
mod options;
mod plan;
mod private;
mod record;
mod retry;
mod snapshot;
mod stop;
mod store;
mod tree;
mod vector_index;
mod witness;
mod write;

pub use check::{Checked, Finding, FindingKind, check};
pub use collection::CollectionStore;
pub use definition::{CollectionDefinition, FieldDefinition, FieldKind, MAX_DIM, MAX_PASSAGES};
pub use document::{Document, Metadata, Passage, StoredImage, Vector, VectorKind};
pub use error::StorageError;
#[cfg(feature = "fault-injection")]
pub use fault::CommitStep;
pub use hash::BlobHash;
pub use held::DamagedCollection;
pub use id::{DocumentId, DocumentKey};
pub use name::CollectionName;
pub use options::StoreOptions;
pub use snapshot::{Incoming, Manifest, Progress, Shelf, SnapshotId, SnapshotInfo, read_manifest};
pub use stop::Stopped;
pub use store::{Creation, Store};
pub use vector_index::{VectorIndex, VectorIndexKind};
pub use write::{Committed, Guard, NewDocument, NewImage, NewText, Outcome, Part, Revision, Write};
