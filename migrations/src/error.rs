//! Why a data folder cannot be brought to this format.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error(
        "the data folder {} has format {found}, but this clipdb knows only formats up to {known}; start it with a newer clipdb", dir.display()
    )]
    Newer {
        dir: PathBuf,
        found: u32,
        known: u32,
    },

    #[error(
        "the data folder {} has content but no format version, so clipdb did not write it; choose an empty folder", dir.display()
    )]
    Unversioned { dir: PathBuf },

    #[error(
        "the data folder {} names its format {found:?}, which is no version; restore it from a copy", dir.display()
    )]
    UnreadableVersion { dir: PathBuf, found: String },

    #[error("cannot list {}: {source}", path.display())]
    Unlistable {
        path: PathBuf,
        source: std::io::Error,
    },

    #[error(
        "cannot change the data folder's format: {what} is damaged ({reason}); restore the folder from a copy"
    )]
    Damaged { what: String, reason: String },

    #[error("cannot change the data folder's format: {0}")]
    Sled(#[from] sled::Error),
}
