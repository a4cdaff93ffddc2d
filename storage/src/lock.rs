//! The lock that prevents a second server from using a data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::StorageError;

/// The watcher thread may keep a dropped store of this process open for a moment.
const WAIT: Duration = Duration::from_secs(1);

/// A locked file in the data folder. The kernel unlocks it when the process ends in any way.
pub(crate) struct FolderLock(#[allow(dead_code, reason = "held open, never read")] File);

impl FolderLock {
    pub(crate) fn acquire(dir: &Path) -> Result<Self, StorageError> {
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StorageError::io("open", &path))?;
        let deadline = Instant::now() + WAIT;
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
            // The lock is held nevertheless; only the process id is missing in the file.
            Err(error) if error.kind() == ErrorKind::StorageFull => {}
            named => named.map_err(StorageError::io("write", &path))?,
        }
        Ok(FolderLock(file))
    }
}

/// The process id in the file.
fn holder(file: &mut File) -> Option<u32> {
    let mut holder = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut holder).ok()?;
    holder.trim().parse().ok()
}
