//! The lock that keeps a second server off a data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::StorageError;

/// A store of this process that was dropped may be looked after for a moment longer.
const PATIENCE: Duration = Duration::from_secs(1);

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
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = file.try_lock() {
            if let TryLockError::Error(source) = error {
                return Err(StorageError::io("lock", &path)(source));
            }
            let holder = holder(&mut file);
            if holder != Some(std::process::id()) || Instant::now() > deadline {
                return Err(StorageError::Locked {
                    dir: dir.into(),
                    pid: holder,
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let named = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        match named {
            // The lock holds all the same; only its holder's number is missing from it.
            Err(error) if error.kind() == ErrorKind::StorageFull => {}
            named => named.map_err(StorageError::io("write", &path))?,
        }
        Ok(FolderLock(file))
    }
}

/// The process that wrote its number into the file.
fn holder(file: &mut File) -> Option<u32> {
    let mut holder = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut holder).ok()?;
    holder.trim().parse().ok()
}
