//! One collection's image files: `images/<collection>/<first byte>/<hash>`.
//!
//! A file appears under its final name only whole and synced, and only then is a document that
//! refers to it committed. A file that no document refers to is an orphan of a crash; [`sweep`]
//! removes it at the next start.
//!
//! [`sweep`]: ImageFolder::sweep

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::{BlobHash, StorageError};

/// Where a file is until it is whole and synced.
const INCOMING: &str = "incoming";

pub(crate) struct ImageFolder {
    dir: PathBuf,
}

impl ImageFolder {
    /// The folder of a collection's images, made if it is missing.
    pub(crate) fn open(images: &Path, collection: u64) -> Result<Self, StorageError> {
        let dir = images.join(collection.to_string());
        let incoming = dir.join(INCOMING);
        fs::create_dir_all(&incoming).map_err(StorageError::io("create", incoming))?;
        Ok(ImageFolder { dir })
    }

    pub(crate) fn path(&self, hash: &BlobHash) -> PathBuf {
        self.shard(hash.as_bytes()[0]).join(hash.to_string())
    }

    /// Whether the file is there with these bytes. Comparing them instead of trusting the name lets
    /// an image that is uploaded again mend its file.
    pub(crate) fn holds(&self, hash: &BlobHash, bytes: &Bytes) -> bool {
        fs::read(self.path(hash)).is_ok_and(|found| found == *bytes)
    }

    /// Makes the images durable under their final names.
    pub(crate) fn write(&self, images: &[(&BlobHash, &Bytes)]) -> Result<(), StorageError> {
        if images.is_empty() {
            return Ok(());
        }
        self.write_through_incoming(images).inspect_err(|_| {
            // The disk may be full: give the space back at once. What cannot be removed is swept
            // at the next start.
            for (hash, _) in images {
                let _ = fs::remove_file(self.incoming_path(hash));
            }
        })
    }

    fn write_through_incoming(&self, images: &[(&BlobHash, &Bytes)]) -> Result<(), StorageError> {
        // Open before anything is written: an error of writing back later is reported to those
        // who had the filesystem open when it happened.
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

    /// The image's bytes, checked against the hash; `None` where there is no file.
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
                reason: "its bytes do not have that hash".into(),
            });
        }
        Ok(Some(bytes.into()))
    }

    /// Removes an image that no document refers to any more. One that stays behind is swept at the
    /// next start, so a failure is no more than a warning.
    pub(crate) fn remove(&self, hash: &BlobHash) {
        let path = self.path(hash);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove an image file");
        }
    }

    /// Removes what no document refers to, and says how many files that were. `referenced` gives
    /// the hashes with this first byte that documents refer to.
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
        // Most collections have few of the 256 folders that there may be.
        let shards: BTreeSet<_> = names(&self.dir)?.into_iter().collect();
        for first in 0..=u8::MAX {
            let shard = self.shard(first);
            let is_there = shard.file_name().is_some_and(|name| shards.contains(name));
            let present = if is_there { names(&shard)? } else { Vec::new() };
            if present.is_empty() {
                continue;
            }
            let wanted = referenced(first)?;
            for name in present {
                let hash = name.to_str().and_then(|hex| hex.parse().ok());
                if hash.is_none_or(|hash| !wanted.contains(&hash)) {
                    remove_file(&shard.join(name))?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// How many files there are beside those of `wanted`.
    pub(crate) fn unreferenced(&self, wanted: &BTreeSet<BlobHash>) -> Result<u64, StorageError> {
        let incoming = names(&self.dir.join(INCOMING))?.len();
        Ok((incoming + self.others(wanted)?.len()) as u64)
    }

    /// Links the whole files beside those of `wanted` into the folder `kept`.
    pub(crate) fn keep_unreferenced(
        &self,
        wanted: &BTreeSet<BlobHash>,
        kept: &Path,
    ) -> Result<(), StorageError> {
        for path in self.others(wanted)? {
            fs::create_dir_all(kept).map_err(StorageError::io("create", kept))?;
            let target = kept.join(path.file_name().unwrap_or_default());
            match fs::hard_link(&path, &target) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(StorageError::io("link", target)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The files under final names beside those of `wanted`.
    fn others(&self, wanted: &BTreeSet<BlobHash>) -> Result<Vec<PathBuf>, StorageError> {
        let mut others = Vec::new();
        for first in 0..=u8::MAX {
            let shard = self.shard(first);
            for name in names(&shard)? {
                let hash = name.to_str().and_then(|hex| hex.parse().ok());
                if hash.is_none_or(|hash| !wanted.contains(&hash)) {
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

    /// One sync of the whole filesystem costs less than those of even one file and its folder.
    fn sync(&self, folder: &File) -> Result<(), StorageError> {
        rustix::fs::syncfs(folder)
            .map_err(|errno| StorageError::io("sync", &self.dir)(errno.into()))
    }
}

/// Removes the folders in `images` of collections that are not among `known`.
pub(crate) fn remove_unknown(images: &Path, known: &BTreeSet<u64>) -> Result<(), StorageError> {
    for name in names(images)? {
        let number = name.to_str().and_then(|name| name.parse().ok());
        if number.is_some_and(|number: u64| !known.contains(&number)) {
            remove_folder(&images.join(name))?;
        }
    }
    Ok(())
}

/// What a folder holds; nothing where there is no such folder.
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
