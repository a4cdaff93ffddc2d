//! The folder `snapshots/` with two files per snapshot: the archive `NAME/ID.snapshot` and its
//! description. A snapshot exists from the moment when its archive has its final name.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Progress;
use crate::{CollectionName, CollectionStore, StorageError};

const ARCHIVE: &str = "snapshot";
const DESCRIPTION: &str = "json";
const PARTIAL: &str = "partial";

/// The id of a snapshot: a UUID that sorts by time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotId(String);

/// The description of a snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// The id of the snapshot.
    pub id: SnapshotId,
    /// The collection from which it was taken.
    pub collection: CollectionName,
    /// The time at which it was taken, in Unix milliseconds.
    pub taken_at: u64,
    /// The sequence number at which it was taken.
    pub sequence: u64,
    /// The number of documents.
    pub documents: u64,
    /// The number of images.
    pub images: u64,
    /// The model of the collection.
    pub model: String,
    /// The number of dimensions of the vectors.
    pub dim: usize,
    /// The format of the data folder from which it was taken.
    pub format: u32,
    /// The size of the archive in bytes.
    pub bytes: u64,
    /// The SHA-256 of the archive in hexadecimal.
    pub sha256: String,
}

/// The snapshots of a data folder.
#[derive(Clone, Debug)]
pub struct SnapshotStore {
    dir: PathBuf,
}

impl SnapshotId {
    /// The id in a path; `None` unless it is a UUID.
    pub fn parse(given: &str) -> Option<Self> {
        uuid::Uuid::try_parse(given)
            .ok()
            .map(|id| SnapshotId(id.hyphenated().to_string()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SnapshotStore {
    /// Opens the snapshots of the data folder `data`, and removes incomplete ones.
    pub(crate) fn open(data: &Path) -> Result<Self, StorageError> {
        let store = SnapshotStore {
            dir: data.join("snapshots"),
        };
        remove_incomplete(&store.dir)?;
        Ok(store)
    }

    /// Takes a snapshot of the current state of the collection. Blocks, while writes to the collection
    /// continue.
    pub fn take(
        &self,
        collection: &CollectionStore,
        progress: &dyn Progress,
    ) -> Result<SnapshotInfo, StorageError> {
        let name = &collection.definition().name;
        let id = SnapshotId(uuid::Uuid::now_v7().to_string());
        let folder = self.dir.join(name.as_str());
        fs::create_dir_all(&folder).map_err(StorageError::io("create", &folder))?;
        let partial = self.path(name, &id, PARTIAL);
        let taken = collection.copy_to(&partial, progress).and_then(|copied| {
            let manifest = copied.manifest;
            let info = SnapshotInfo {
                id: id.clone(),
                collection: name.clone(),
                taken_at: manifest.taken_at,
                sequence: manifest.sequence,
                documents: manifest.documents,
                images: copied.images,
                model: manifest.definition.model,
                dim: manifest.definition.dim,
                format: manifest.format,
                bytes: copied.bytes,
                sha256: copied.sha256,
            };
            self.describe(&info)?;
            let archive = self.path(name, &id, ARCHIVE);
            fs::rename(&partial, &archive)
                .map_err(StorageError::io("rename a file to", archive))?;
            sync(&folder)?;
            sync(&self.dir)?;
            Ok(info)
        });
        taken.inspect_err(|_| {
            // Files that cannot be removed now are removed at the next startup.
            let _ = fs::remove_file(&partial);
            let _ = fs::remove_file(self.path(name, &id, DESCRIPTION));
        })
    }

    /// The snapshots of a collection, which need not exist any more, the oldest first.
    pub fn list(&self, name: &CollectionName) -> Result<Vec<SnapshotInfo>, StorageError> {
        let mut found = Vec::new();
        for path in paths(&self.dir.join(name.as_str()))? {
            let id = path.file_stem().and_then(|stem| stem.to_str());
            if path.extension().is_some_and(|ending| ending == ARCHIVE)
                && let Some(id) = id.and_then(SnapshotId::parse)
            {
                found.extend(self.find(name, &id)?);
            }
        }
        found.sort_by(|a, b| a.id.0.cmp(&b.id.0));
        Ok(found)
    }

    /// The description of a snapshot.
    pub fn find(
        &self,
        name: &CollectionName,
        id: &SnapshotId,
    ) -> Result<Option<SnapshotInfo>, StorageError> {
        if !self.path(name, id, ARCHIVE).is_file() {
            return Ok(None);
        }
        let path = self.path(name, id, DESCRIPTION);
        let json = fs::read(&path).map_err(StorageError::io("read", &path))?;
        serde_json::from_slice(&json)
            .map(Some)
            .map_err(|error| StorageError::Damaged {
                what: format!("the file {}", path.display()),
                reason: error.to_string(),
            })
    }

    /// Opens the archive for reading.
    pub fn file(&self, name: &CollectionName, id: &SnapshotId) -> Result<File, StorageError> {
        let path = self.path(name, id, ARCHIVE);
        File::open(&path).map_err(StorageError::io("open", path))
    }

    /// Removes the snapshot, and returns whether it existed.
    pub fn remove(&self, name: &CollectionName, id: &SnapshotId) -> Result<bool, StorageError> {
        let archive = self.path(name, id, ARCHIVE);
        match fs::remove_file(&archive) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            removed => removed.map_err(StorageError::io("remove", archive))?,
        }
        let description = self.path(name, id, DESCRIPTION);
        fs::remove_file(&description).map_err(StorageError::io("remove", description))?;
        Ok(true)
    }

    /// A new file for an archive that is being uploaded; it is removed at the next startup.
    pub fn incoming(&self) -> Result<(PathBuf, File), StorageError> {
        fs::create_dir_all(&self.dir).map_err(StorageError::io("create", &self.dir))?;
        let path = self.dir.join(format!("{}.{PARTIAL}", uuid::Uuid::now_v7()));
        let file = File::create(&path).map_err(StorageError::io("create", &path))?;
        Ok((path, file))
    }

    /// A new file without a name, which is removed when it is closed.
    pub fn unnamed_file(&self) -> Result<File, StorageError> {
        fs::create_dir_all(&self.dir).map_err(StorageError::io("create", &self.dir))?;
        let path = self.dir.join(format!("{}.{PARTIAL}", uuid::Uuid::now_v7()));
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(StorageError::io("create", &path))?;
        fs::remove_file(&path).map_err(StorageError::io("remove", &path))?;
        Ok(file)
    }

    fn describe(&self, info: &SnapshotInfo) -> Result<(), StorageError> {
        let path = self.path(&info.collection, &info.id, DESCRIPTION);
        let write = || -> std::io::Result<()> {
            fs::write(&path, serde_json::to_vec_pretty(info)?)?;
            File::open(&path)?.sync_all()
        };
        write().map_err(StorageError::io("write", &path))
    }

    fn path(&self, name: &CollectionName, id: &SnapshotId, ending: &str) -> PathBuf {
        self.dir
            .join(name.as_str())
            .join(format!("{}.{ending}", id.0))
    }
}

/// Removes incomplete archives, and descriptions without an archive.
fn remove_incomplete(dir: &Path) -> Result<(), StorageError> {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in paths(&folder)? {
            let is = |ending: &str| path.extension().is_some_and(|found| found == ending);
            if path.is_dir() && is(PARTIAL) {
                fs::remove_dir_all(&path).map_err(StorageError::io("remove", path))?;
            } else if path.is_dir() {
                folders.push(path);
            } else if is(PARTIAL) || (is(DESCRIPTION) && !path.with_extension(ARCHIVE).is_file()) {
                fs::remove_file(&path).map_err(StorageError::io("remove", path))?;
            }
        }
    }
    Ok(())
}

/// The paths in a folder; none if it does not exist.
fn paths(folder: &Path) -> Result<Vec<PathBuf>, StorageError> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
    .map_err(StorageError::io("list", folder))
}

fn sync(folder: &Path) -> Result<(), StorageError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(StorageError::io("sync", folder))
}
