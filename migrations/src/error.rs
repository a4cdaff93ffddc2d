//! Why a data folder cannot be brought to this format.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error(
        "the data folder {} has format {found}, but this clipdb knows formats up to {known}; start it with a newer clipdb", dir.display()
    )]
    Newer {
        dir: PathBuf,
        found: u32,
        known: u32,
    },
}
