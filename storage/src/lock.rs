//! The lock that keeps a second server off a data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::StorageError;

/// A locked file in the data folder. The kernel unlocks it when the process ends, however it ends.
pub(crate) struct FolderLock(#[allow(dead_code, reason = "held open, never read")] File);

impl FolderLock {
    pub(crate) fn take(dir: &Path) -> Result<Self, StorageError> {
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StorageError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let pid = file.read_to_string(&mut holder).ok();
                return Err(StorageError::Locked {
                    dir: dir.into(),
                    pid: pid.and_then(|_| holder.trim().parse().ok()),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(StorageError::io("lock", &path)(source));
            }
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(StorageError::io("write", &path))?;
        Ok(FolderLock(file))
    }
}
