//! The image files of one collection: `images/<collection>/<first byte>/<hash>`.
//!
//! A file gets its final name only when it is complete and synced, and only then a document that
//! references it is committed. A file without a reference is left by a crash; [`sweep`] removes it at
//! the next startup.
//!
//! [`sweep`]: ImageFolder::sweep

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::{BlobHash, StorageError};

/// The folder of files that are not complete and synced yet.
const INCOMING: &str = "incoming";

pub(crate) struct ImageFolder {
    dir: PathBuf,
}

impl ImageFolder {
    /// Opens the image folder of a collection, and creates it if it does not exist.
    pub(crate) fn open(images: &Path, collection: u64) -> Result<Self, StorageError> {
        let dir = images.join(collection.to_string());
        let incoming = dir.join(INCOMING);
        fs::create_dir_all(&incoming).map_err(StorageError::io("create", incoming))?;
        Ok(ImageFolder { dir })
    }

    pub(crate) fn path(&self, hash: &BlobHash) -> PathBuf {
        self.shard(hash.as_bytes()[0]).join(hash.to_string())
    }

    /// Whether the file exists with these bytes. Since the bytes are compared, uploading an image again
    /// repairs a corrupt file.
    pub(crate) fn contains(&self, hash: &BlobHash, bytes: &Bytes) -> bool {
        fs::read(self.path(hash)).is_ok_and(|found| found == *bytes)
    }

    /// Writes the images durably under their final names.
    pub(crate) fn write(&self, images: &[(&BlobHash, &Bytes)]) -> Result<(), StorageError> {
        if images.is_empty() {
            return Ok(());
        }
        self.write_through_incoming(images).inspect_err(|_| {
            // The disk may be full: free the space immediately. A file that cannot be removed is swept
            // at the next startup.
            for (hash, _) in images {
                let _ = fs::remove_file(self.incoming_path(hash));
            }
        })
    }

    fn write_through_incoming(&self, images: &[(&BlobHash, &Bytes)]) -> Result<(), StorageError> {
        // Opened before the first write: a later write-back error is reported only to descriptors that
        // were open when it happened.
        let folder = File::open(&self.dir).map_err(StorageError::io("open", &self.dir))?;
        for (hash, bytes) in images {
            let path = self.incoming_path(hash);
            fs::write(&path, bytes).map_err(StorageError::io("write", path))?;
        }
        self.sync(&folder)?;
        for (hash, _) in images {
            let shard = self.shard(hash.as_bytes()[0]);
            match fs::create_dir(&shard) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(StorageError::io("create", shard)(error));
                }
                _ => {}
            }
            let path = self.path(hash);
            fs::rename(self.incoming_path(hash), &path)
                .map_err(StorageError::io("rename a file to", path))?;
        }
        self.sync(&folder)
    }

    /// The bytes of the image, verified against the hash; `None` if there is no file.
    pub(crate) fn read(&self, hash: &BlobHash) -> Result<Option<Bytes>, StorageError> {
        let path = self.path(hash);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StorageError::io("read", path)(error)),
        };
        if BlobHash::of(&bytes) != *hash {
            return Err(StorageError::DamagedImage {
                hash: *hash,
                path,
                reason: "its content has another hash".into(),
            });
        }
        Ok(Some(bytes.into()))
    }

    /// Removes an image without references. A file that stays is swept at the next startup, so a
    /// failure is only a warning.
    pub(crate) fn remove(&self, hash: &BlobHash) {
        let path = self.path(hash);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove an image file");
        }
    }

    /// Removes all files without references, and returns their number. `referenced` returns the
    /// referenced hashes with this first byte.
    pub(crate) fn sweep(
        &self,
        referenced: impl Fn(u8) -> Result<BTreeSet<BlobHash>, StorageError>,
    ) -> Result<u64, StorageError> {
        let mut removed = 0;
        let incoming = self.dir.join(INCOMING);
        for name in names(&incoming)? {
            remove_file(&incoming.join(name))?;
            removed += 1;
        }
        // Most collections have only a few of the 256 possible folders.
        let shards: BTreeSet<_> = names(&self.dir)?.into_iter().collect();
        for first in 0..=u8::MAX {
            let shard = self.shard(first);
            let is_there = shard.file_name().is_some_and(|name| shards.contains(name));
            let present = if is_there { names(&shard)? } else { Vec::new() };
            if present.is_empty() {
                continue;
            }
            let referenced = referenced(first)?;
            for name in present {
                let hash = name.to_str().and_then(|hex| hex.parse().ok());
                if hash.is_none_or(|hash| !referenced.contains(&hash)) {
                    remove_file(&shard.join(name))?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// The number of files that are not in `referenced`.
    pub(crate) fn unreferenced(
        &self,
        referenced: &BTreeSet<BlobHash>,
    ) -> Result<u64, StorageError> {
        let incoming = names(&self.dir.join(INCOMING))?.len();
        Ok((incoming + self.others(referenced)?.len()) as u64)
    }

    /// Links the complete files that are not in `referenced` into the folder `target`.
    pub(crate) fn link_unreferenced(
        &self,
        referenced: &BTreeSet<BlobHash>,
        target: &Path,
    ) -> Result<(), StorageError> {
        for path in self.others(referenced)? {
            fs::create_dir_all(target).map_err(StorageError::io("create", target))?;
            let link = target.join(path.file_name().unwrap_or_default());
            match fs::hard_link(&path, &link) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(StorageError::io("link", link)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The files under final names that are not in `referenced`.
    fn others(&self, referenced: &BTreeSet<BlobHash>) -> Result<Vec<PathBuf>, StorageError> {
        let mut others = Vec::new();
        for first in 0..=u8::MAX {
            let shard = self.shard(first);
            for name in names(&shard)? {
                let hash = name.to_str().and_then(|hex| hex.parse().ok());
                if hash.is_none_or(|hash| !referenced.contains(&hash)) {
                    others.push(shard.join(name));
                }
            }
        }
        Ok(others)
    }

    pub(crate) fn remove_all(&self) -> Result<(), StorageError> {
        remove_folder(&self.dir)
    }

    fn shard(&self, first: u8) -> PathBuf {
        self.dir.join(format!("{first:02x}"))
    }

    fn incoming_path(&self, hash: &BlobHash) -> PathBuf {
        self.dir.join(INCOMING).join(hash.to_string())
    }

    /// Syncs the whole filesystem once, which costs less than syncing even one file and its folder.
    fn sync(&self, folder: &File) -> Result<(), StorageError> {
        rustix::fs::syncfs(folder)
            .map_err(|errno| StorageError::io("sync", &self.dir)(errno.into()))
    }
}

/// Removes the folders in `images` of collections that are not in `known`.
pub(crate) fn remove_unknown(images: &Path, known: &BTreeSet<u64>) -> Result<(), StorageError> {
    for name in names(images)? {
        let number = name.to_str().and_then(|name| name.parse().ok());
        if number.is_some_and(|number: u64| !known.contains(&number)) {
            remove_folder(&images.join(name))?;
        }
    }
    Ok(())
}

/// The names in a folder; none if the folder does not exist.
fn names(folder: &Path) -> Result<Vec<std::ffi::OsString>, StorageError> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
    .map_err(StorageError::io("list", folder))
}

fn remove_file(path: &Path) -> Result<(), StorageError> {
    fs::remove_file(path).map_err(StorageError::io("remove", path))
}

fn remove_folder(path: &Path) -> Result<(), StorageError> {
    let ignore_missing = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    };
    fs::remove_dir_all(path)
        .or_else(ignore_missing)
        .map_err(StorageError::io("remove", path))
}
