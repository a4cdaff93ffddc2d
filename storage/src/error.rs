//! Everything that can go wrong here: what happened, to what, and what to do.

use std::io;
use std::path::PathBuf;

use crate::{BlobHash, CollectionName, DocumentId, MAX_DIM};

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("the data folder {} is in use by another clipdb{}; stop it or choose another folder", dir.display(), holder(*pid))]
    Locked { dir: PathBuf, pid: Option<u32> },

    #[error("there is no data folder of clipdb at {}; name the one that the server uses", dir.display())]
    NoFolder { dir: PathBuf },

    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    #[error("cannot {action} in the data folder's sled: {source}")]
    Sled {
        action: &'static str,
        source: sled::Error,
    },

    #[error(transparent)]
    Migration(#[from] clipdb_migrations::MigrationError),

    #[error(
        "{what} is damaged on disk ({reason}). Restore a snapshot, or stop the server and run \
         'clipdb check --data DIR --repair', which names what cannot be read and sets it aside"
    )]
    Damaged { what: String, reason: String },

    #[error(
        "the collection {name} is damaged and not served: {reason}. \
         Restore it from a snapshot, or stop the server and run 'clipdb check --data {} --repair' \
         to go on with what is left of it", dir.display()
    )]
    DamagedCollection {
        name: CollectionName,
        reason: String,
        dir: PathBuf,
    },

    #[error(
        "the data folder {} has lost acknowledged writes: {lost}; its sled log is damaged or from an earlier time. \
         Restore the folder from a copy, or run 'clipdb check --data {} --repair' to go on with what is left", dir.display(), dir.display()
    )]
    LostWrites { dir: PathBuf, lost: String },

    #[error(
        "the disk of {} has {free} bytes left and writes need {needed}: free some space, then send it again", dir.display()
    )]
    DiskFull {
        dir: PathBuf,
        free: u64,
        needed: u64,
    },

    #[error("the image file {} of {hash} is damaged ({reason}); upload the image again", path.display())]
    DamagedImage {
        hash: BlobHash,
        path: PathBuf,
        reason: String,
    },

    #[error("the snapshot cannot be restored: {reason}; what was there is unchanged")]
    BadSnapshot { reason: String },

    #[error("a snapshot of collection {name} is being taken already; wait for it or cancel it")]
    CopyUnderWay { name: CollectionName },

    #[error("it was cancelled")]
    Cancelled,

    #[error(
        "the collection name {given:?} is not 1 to 64 characters of a-z, 0-9, '_' and '-' that start with a letter or digit"
    )]
    InvalidCollectionName { given: String },

    #[error("the document id cannot be used: {reason}")]
    InvalidDocumentId { reason: &'static str },

    #[error("{given:?} is not an image hash of 64 lower-case hexadecimal digits")]
    InvalidHash { given: String },

    #[error("the collection {name} cannot have vectors of {dim} dimensions; choose 1 to {MAX_DIM}")]
    InvalidDim { name: CollectionName, dim: usize },

    #[error("the document {id} cannot be stored: {reason}")]
    InvalidWrite { id: DocumentId, reason: String },

    #[error(
        "the collection {name} exists with another definition; drop it first or choose another name"
    )]
    Conflict { name: CollectionName },

    #[error("there is no collection {name}")]
    UnknownCollection { name: CollectionName },

    #[error(
        "storage takes no writes since one failed half-way ({reason}); {remedy}. What was acknowledged is safe"
    )]
    Stopped {
        reason: String,
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

    /// Whether there was no file left to be opened, in the process or on the machine: it passes.
    pub fn is_out_of_files(&self) -> bool {
        matches!(self, Self::Io { source, .. } if out_of_files(source))
            || matches!(self, Self::Sled { source: sled::Error::Io(source), .. } if out_of_files(source))
    }

    /// Whether the disk, or what this user may use of it, was full.
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
                    Some(at) => format!("the page of the data folder's sled at {at:?}"),
                    None => "the data folder's sled".into(),
                },
                reason: format!("cannot {action}: its checksum is wrong"),
            },
            // There is no instance just now.
            sled::Error::Io(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                StorageError::Stopped {
                    reason: format!("cannot {action}: {error}"),
                    remedy: "send the request again in a moment",
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
