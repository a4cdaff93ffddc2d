//! Snapshots: a collection at one sequence number as one file with checksums. A snapshot is taken while
//! the collection is written, and restored while it is served.
//!
//! | module | |
//! |---|---|
//! | `archive` | the file format |
//! | `copy` | writes a consistent archive while writes continue |
//! | `store` | the folder `snapshots/` |
//! | `scratch` | migrates archives of an older format |
//! | `verify` | validates the content of an archive |
//! | `restore` | reads an archive into a collection without a name |

mod archive;
mod copy;
#[cfg(test)]
mod hostile_tests;
mod restore;
mod scratch;
mod store;
#[cfg(test)]
mod tests;
mod verify;

use serde::{Deserialize, Serialize};

use crate::{CollectionDefinition, DocumentKey, StorageError};

pub(crate) use restore::read_into;
pub use restore::{PendingRestore, read_manifest};
pub use store::{SnapshotId, SnapshotInfo, SnapshotStore};

/// The header of an archive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the data folder from which it was taken, and of its values.
    pub format: u32,
    /// The number of the collection in that folder.
    pub(crate) number: u64,
    /// The definition of the collection.
    pub definition: CollectionDefinition,
    /// The sequence number at which it was taken.
    pub sequence: u64,
    /// The number of documents.
    pub documents: u64,
    /// The time at which it was taken, in Unix milliseconds.
    pub taken_at: u64,
}

/// Receives the progress of a snapshot or a restore, and may cancel it.
pub trait Progress: Sync {
    /// `done` of `total` documents are complete. Returns `false` to cancel.
    fn reached(&self, done: u64, total: u64) -> bool;
}

/// A key of a collection's tree and its stored value.
pub(crate) type RawEntry = (Vec<u8>, Vec<u8>);

fn cancelled() -> StorageError {
    StorageError::Cancelled
}

/// The description of a document version, for errors.
fn version(key: DocumentKey) -> String {
    format!("document version {key}")
}
