//! Saves data in `damaged/` before a corrupt log is accepted: the log itself, and the images whose
//! documents are lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::catalog::Entry;
use crate::database::{Database, remove_derived};
use crate::images::ImageFolder;
use crate::{StorageError, StoreOptions, layout};

/// Opens a database whose log leaves a gap in sled's page table: sled rebuilds the table from the log up
/// to the corrupt part. The original files are copied to `damaged/` first.
pub(super) fn open_without_page_table(
    dir: &Path,
    options: &StoreOptions,
) -> Result<Option<Database>, StorageError> {
    let (sled, kept) = (dir.join("sled"), unused(&dir.join("damaged/sled")));
    fs::create_dir_all(&kept).map_err(StorageError::io("create", &kept))?;
    for entry in fs::read_dir(&sled).map_err(StorageError::io("list", &sled))? {
        let entry = entry.map_err(StorageError::io("list", &sled))?;
        if entry.path().is_file() {
            let target = kept.join(entry.file_name());
            fs::copy(entry.path(), &target).map_err(StorageError::io("write", target))?;
        }
    }
    remove_derived(&sled)?;
    match Database::open_without_migrating(dir, options) {
        Ok(database) => Ok(Some(database)),
        Err(StorageError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Saves the image files without references, which would be removed at the next startup.
pub(super) fn save_unreferenced_images(
    database: &Database,
    entries: &[Entry],
) -> Result<(), StorageError> {
    let images = database.dir().join("images");
    let numbers: BTreeSet<String> = entries
        .iter()
        .map(|entry| entry.number.to_string())
        .collect();
    let Ok(folders) = fs::read_dir(&images) else {
        return Ok(());
    };
    for folder in folders {
        let folder = folder.map_err(StorageError::io("list", &images))?;
        let name = folder.file_name().to_string_lossy().into_owned();
        if !numbers.contains(&name) {
            let kept = unused(&database.dir().join(format!("damaged/images-{name}")));
            fs::create_dir_all(database.dir().join("damaged"))
                .and_then(|()| fs::rename(folder.path(), &kept))
                .map_err(StorageError::io("move", folder.path()))?;
        }
    }
    for entry in entries {
        let tree = database.tree(layout::tree_name(entry.number))?;
        let referenced = tree
            .scan_prefix(layout::REFERENCES)
            .keys()
            .filter_map(|key| Some(layout::reference_of(&key.ok()?).ok()?.0))
            .collect();
        let kept = database
            .dir()
            .join(format!("damaged/images-{}", entry.number));
        ImageFolder::open(&images, entry.number)?.link_unreferenced(&referenced, &kept)?;
    }
    Ok(())
}

/// The path if it does not exist, or else the first free one with a number appended.
fn unused(path: &Path) -> PathBuf {
    let numbered = |n: u32| PathBuf::from(format!("{}-{n}", path.display()));
    let mut candidates = std::iter::once(path.to_owned()).chain((2..).map(numbered));
    candidates
        .find(|path| !path.exists())
        .unwrap_or_else(|| path.to_owned())
}
