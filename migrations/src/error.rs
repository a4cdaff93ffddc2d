//! Errors of migrations.

use std::path::PathBuf;

/// Why a data folder cannot be migrated to the current format.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The folder has a newer format.
    #[error(
        "the data folder {} has format {found}, and this version of clipdb supports formats up to {known}; use a newer version", dir.display()
    )]
    Newer {
        /// The data folder.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The newest supported format.
        known: u32,
    },

    /// The folder has content and no version.
    #[error(
        "the data folder {} has content but no format version, so clipdb did not write it; choose an empty folder", dir.display()
    )]
    Unversioned {
        /// The data folder.
        dir: PathBuf,
    },

    /// The stored version is not a number.
    #[error(
        "the data folder {} has the invalid format version {found:?}; restore it from a backup", dir.display()
    )]
    UnreadableVersion {
        /// The data folder.
        dir: PathBuf,
        /// The stored version.
        found: String,
    },

    /// A folder cannot be listed.
    #[error("cannot list {}: {source}", path.display())]
    Unlistable {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },

    /// A value of the old format is corrupt.
    #[error(
        "cannot migrate the data folder: {what} is corrupt ({reason}); restore the folder from a backup"
    )]
    Corrupt {
        /// The value.
        what: String,
        /// The reason.
        reason: String,
    },

    /// sled failed.
    #[error("cannot migrate the data folder: {0}")]
    Sled(#[from] sled::Error),
}
