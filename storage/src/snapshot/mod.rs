//! Snapshots: a collection at one point of its sequence, as one file with checksums, taken while
//! it is written and restored beside what is served.
//!
//! | module | |
//! |---|---|
//! | `archive` | the file's frames |
//! | `copy` | how a collection is held still for a copy while writes go on |
//! | `shelf` | the folder `snapshots/` and what is in it |
//! | `scratch` | where an older format is brought to this one |
//! | `verify` | whether an archive's content can be a collection's |
//! | `restore` | an archive as a collection that no name leads to yet |

mod archive;
mod copy;
#[cfg(test)]
mod hostile_tests;
mod restore;
mod scratch;
mod shelf;
#[cfg(test)]
mod tests;
mod verify;

use serde::{Deserialize, Serialize};

use crate::{CollectionDefinition, DocumentKey, StorageError};

pub(crate) use restore::read_into;
pub use restore::{Incoming, read_manifest};
pub use shelf::{Shelf, SnapshotId, SnapshotInfo};

/// What an archive begins with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the folder that it was taken from: its values are those of that format.
    pub format: u32,
    /// The collection's number there.
    pub(crate) number: u64,
    pub definition: CollectionDefinition,
    /// The group of writes after which it was taken.
    pub sequence: u64,
    pub documents: u64,
    /// Unix milliseconds.
    pub taken_at: u64,
}

/// Follows a copy or a restore, and may end it.
pub trait Progress: Sync {
    /// How many of how many documents are done; `false` asks for an end.
    fn reached(&self, done: u64, total: u64) -> bool;
}

/// One key of a collection's tree with its value, as stored.
pub(crate) type RawEntry = (Vec<u8>, Vec<u8>);

fn cancelled() -> StorageError {
    StorageError::Cancelled
}

/// The document's version, for errors.
fn version(key: DocumentKey) -> String {
    format!("document version {key}")
}
