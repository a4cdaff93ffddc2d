//! The errors of this crate. Each message says what failed, on which object, and what to do.

use std::io;
use std::path::PathBuf;

use crate::invalid::InvalidValue;
use crate::{BlobHash, CollectionName, DocumentId, MAX_DIM};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Another process uses the data folder.
    #[error("the data folder {} is in use by another clipdb{}; stop it or choose another folder", dir.display(), holder(*pid))]
    Locked {
        /// The data folder.
        dir: PathBuf,
        /// The process that uses it, if known.
        pid: Option<u32>,
    },

    /// A folder to check is not a data folder.
    #[error("{} is not a data folder of clipdb; pass the one that the server uses", dir.display())]
    NoFolder {
        /// The data folder.
        dir: PathBuf,
    },

    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The failed operation.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },

    /// An operation of sled failed.
    #[error("cannot {action} in sled in the data folder: {source}")]
    Sled {
        /// The failed operation.
        action: &'static str,
        /// The cause.
        source: sled::Error,
    },

    /// The format of the data folder cannot be read or migrated.
    #[error(transparent)]
    Migration(#[from] clipdb_migrations::MigrationError),

    /// A stored value is corrupt or missing.
    #[error(
        "{what} is corrupt on disk ({reason}). Restore a snapshot, or stop the server and run \
         'clipdb check --data DIR --repair', which lists corrupt data and moves it aside"
    )]
    Damaged {
        /// The value.
        what: String,
        /// The reason.
        reason: String,
    },

    /// The collection is offline because its data is corrupt.
    #[error(
        "the collection {name} is damaged and not served: {reason}. \
         Restore it from a snapshot, or stop the server and run 'clipdb check --data {} --repair' \
         to continue with the data that is left", dir.display()
    )]
    DamagedCollection {
        /// The collection.
        name: CollectionName,
        /// The reason.
        reason: String,
        /// The data folder.
        dir: PathBuf,
    },

    /// The data folder lacks writes that were acknowledged.
    #[error(
        "the data folder {} has lost acknowledged writes: {lost}; its sled log is corrupt or outdated. \
         Restore the folder from a backup, or run 'clipdb check --data {} --repair' to continue with the data that is left", dir.display(), dir.display()
    )]
    LostWrites {
        /// The data folder.
        dir: PathBuf,
        /// The lost writes.
        lost: String,
    },

    /// The disk has too little free space for a write.
    #[error(
        "the disk of {} has {free} bytes left and writes need {needed}: free some space, then retry", dir.display()
    )]
    DiskFull {
        /// The data folder.
        dir: PathBuf,
        /// The free bytes.
        free: u64,
        /// The bytes that must be free.
        needed: u64,
    },

    /// An image file is corrupt or missing.
    #[error("the image file {} of {hash} is corrupt ({reason}); upload the image again", path.display())]
    DamagedImage {
        /// The image.
        hash: BlobHash,
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        reason: String,
    },

    /// An archive is invalid.
    #[error("the snapshot cannot be restored: {reason}; the existing data is unchanged")]
    BadSnapshot {
        /// The reason.
        reason: String,
    },

    /// The collection already has a snapshot in progress.
    #[error("a snapshot of collection {name} is already in progress; wait for it or cancel it")]
    SnapshotInProgress {
        /// The collection.
        name: CollectionName,
    },

    /// The caller has cancelled a snapshot or a restore.
    #[error("the operation was cancelled")]
    Cancelled,

    /// A name, an id or a hash is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),

    /// A collection has an invalid number of dimensions.
    #[error("the collection {name} cannot have vectors of {dim} dimensions; choose 1 to {MAX_DIM}")]
    InvalidDim {
        /// The collection.
        name: CollectionName,
        /// The number of dimensions.
        dim: usize,
    },

    /// A write is invalid.
    #[error("the document {id} cannot be stored: {reason}")]
    InvalidWrite {
        /// The document.
        id: DocumentId,
        /// The reason.
        reason: String,
    },

    /// The collection exists with another definition.
    #[error(
        "the collection {name} exists with another definition; drop it first or choose another name"
    )]
    Conflict {
        /// The collection.
        name: CollectionName,
    },

    /// The collection does not exist, or was dropped.
    #[error("there is no collection {name}")]
    UnknownCollection {
        /// The collection.
        name: CollectionName,
    },

    /// Writes are stopped after a failure.
    #[error(
        "storage takes no writes because a write has failed ({reason}); {remedy}. Acknowledged writes are safe"
    )]
    Stopped {
        /// The reason.
        reason: String,
        /// The remedy.
        remedy: &'static str,
    },
}

impl StorageError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| StorageError::Io {
            action,
            path,
            source,
        }
    }

    /// Whether the process or the machine has reached its limit of open files, which is temporary.
    pub fn is_out_of_files(&self) -> bool {
        matches!(self, Self::Io { source, .. } if out_of_files(source))
            || matches!(self, Self::Sled { source: sled::Error::Io(source), .. } if out_of_files(source))
    }

    /// Whether the disk or the quota of this user is full.
    pub fn is_out_of_room(&self) -> bool {
        let full = |error: &io::Error| {
            use io::ErrorKind::{QuotaExceeded, StorageFull};
            matches!(error.kind(), StorageFull | QuotaExceeded)
        };
        match self {
            Self::DiskFull { .. } => true,
            Self::Io { source, .. } => full(source),
            Self::Sled {
                source: sled::Error::Io(source),
                ..
            } => full(source),
            _ => false,
        }
    }

    pub(crate) fn sled(action: &'static str) -> impl FnOnce(sled::Error) -> Self {
        move |source| match source {
            sled::Error::Corruption { at, .. } => StorageError::Damaged {
                what: match at {
                    Some(at) => format!("the page of sled at {at:?}"),
                    None => "sled in the data folder".into(),
                },
                reason: format!("cannot {action}: its checksum is wrong"),
            },
            // There is no open instance.
            sled::Error::Io(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                StorageError::Stopped {
                    reason: format!("cannot {action}: {error}"),
                    remedy: "retry in a moment",
                }
            }
            source => StorageError::Sled { action, source },
        }
    }
}

fn out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}
