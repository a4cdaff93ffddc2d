//! The stored version of the format: the key `format` of the tree `meta`, in decimal digits. This
//! location never changes.

use std::path::Path;

use sled::Db;

use crate::MigrationError;

const TREE: &[u8] = b"meta";
const KEY: &[u8] = b"format";

/// The version; `None` if none was written.
pub(crate) fn read(db: &Db, dir: &Path) -> Result<Option<u32>, MigrationError> {
    let Some(stored) = db.open_tree(TREE)?.get(KEY)? else {
        return Ok(None);
    };
    std::str::from_utf8(&stored)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .filter(|&version| version > 0)
        .map(Some)
        .ok_or_else(|| MigrationError::UnreadableVersion {
            dir: dir.into(),
            found: String::from_utf8_lossy(&stored).into_owned(),
        })
}

/// Writes the version, and flushes it with all previous writes.
pub(crate) fn write(db: &Db, version: u32) -> Result<(), MigrationError> {
    db.open_tree(TREE)?
        .insert(KEY, version.to_string().as_bytes())?;
    db.flush()?;
    Ok(())
}

/// Whether the folder has content that a new one would not have.
pub(crate) fn has_content(db: &Db, dir: &Path) -> Result<bool, MigrationError> {
    for name in db.tree_names() {
        if !db.open_tree(name)?.is_empty() {
            return Ok(true);
        }
    }
    let images = dir.join("images");
    match std::fs::read_dir(&images) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(MigrationError::Unlistable {
            path: images,
            source,
        }),
    }
}
