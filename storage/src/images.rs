//! One collection's image files: `images/<collection>/<first byte>/<hash>`.
//!
//! A file appears under its final name only whole and synced, and only then is a document that
//! refers to it committed. A file that no document refers to is an orphan of a crash; [`sweep`]
//! removes it at the next start.
//!
//! [`sweep`]: ImageFolder::sweep

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::{BlobHash, StorageError};

/// From here on one sync of the filesystem is quicker than one of each file and folder.
const SYNC_ALL_FROM: usize = 8;

pub(crate) struct ImageFolder {
    dir: PathBuf,
}

impl ImageFolder {
    /// The folder of a collection's images, made if it is missing.
    pub(crate) fn open(images: &Path, collection: u64) -> Result<Self, StorageError> {
        let folder = ImageFolder {
            dir: images.join(collection.to_string()),
        };
        let incoming = folder.incoming();
        fs::create_dir_all(&incoming).map_err(StorageError::io("create", &incoming))?;
        Ok(folder)
    }

    pub(crate) fn path(&self, hash: &BlobHash) -> PathBuf {
        self.shard(hash.as_bytes()[0]).join(hash.to_string())
    }

    /// Makes the images durable under their final names.
    pub(crate) fn write(&self, images: &BTreeMap<BlobHash, Bytes>) -> Result<(), StorageError> {
        let missing: Vec<_> = images
            .iter()
            .filter(|(hash, bytes)| !self.holds(hash, bytes))
            .collect();
        self.write_missing(&missing).inspect_err(|_| {
            // The disk may be full: give the space back at once. What cannot be removed is swept
            // at the next start.
            for (hash, _) in &missing {
                let _ = fs::remove_file(self.incoming().join(hash.to_string()));
            }
        })
    }

    fn write_missing(&self, images: &[(&BlobHash, &Bytes)]) -> Result<(), StorageError> {
        let incoming = self.incoming();
        let mut files = Vec::with_capacity(images.len());
        let mut folders = BTreeSet::new();
        for (hash, bytes) in images {
            let shard = self.shard(hash.as_bytes()[0]);
            if !folders.contains(&shard) && create_dir(&shard)? {
                folders.insert(self.dir.clone());
            }
            folders.insert(shard);
            let path = incoming.join(hash.to_string());
            let mut file = File::create(&path).map_err(StorageError::io("create", &path))?;
            file.write_all(bytes)
                .map_err(StorageError::io("write", &path))?;
            files.push((file, path));
        }
        sync(&files)?;
        for ((_, path), (hash, _)) in files.iter().zip(images) {
            fs::rename(path, self.path(hash)).map_err(StorageError::io("rename", path))?;
        }
        let folders = folders
            .into_iter()
            .map(|path| match File::open(&path) {
                Ok(folder) => Ok((folder, path)),
                Err(error) => Err(StorageError::io("open", path)(error)),
            })
            .collect::<Result<Vec<_>, _>>()?;
        sync(&folders)
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
        let incoming = self.incoming();
        for name in names(&incoming)? {
            remove_file(&incoming.join(name))?;
            removed += 1;
        }
        for first in 0..=u8::MAX {
            let shard = self.shard(first);
            let present = names(&shard)?;
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

    pub(crate) fn remove_all(&self) -> Result<(), StorageError> {
        remove_folder(&self.dir)
    }

    /// Compares instead of trusting the name, so that uploading an image again mends its file.
    fn holds(&self, hash: &BlobHash, bytes: &Bytes) -> bool {
        fs::read(self.path(hash)).is_ok_and(|found| found == *bytes)
    }

    fn shard(&self, first: u8) -> PathBuf {
        self.dir.join(format!("{first:02x}"))
    }

    fn incoming(&self) -> PathBuf {
        self.dir.join("incoming")
    }
}

fn sync(files: &[(File, PathBuf)]) -> Result<(), StorageError> {
    if let Some((file, path)) = files.first()
        && files.len() >= SYNC_ALL_FROM
    {
        return rustix::fs::syncfs(file)
            .map_err(|errno| StorageError::io("sync", path)(errno.into()));
    }
    files
        .iter()
        .try_for_each(|(file, path)| file.sync_all().map_err(StorageError::io("sync", path)))
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

/// Whether the folder had to be made.
fn create_dir(path: &Path) -> Result<bool, StorageError> {
    match fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(StorageError::io("create", path)(error)),
    }
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
