//! A file that reserves disk space for opening the database on a full disk.
//!
//! sled writes a few megabytes while it is opened. On a disk without any free space that fails, and
//! the data cannot even be read. The file `ballast` reserves the space; it is removed if the disk is
//! full when the database is opened, and written again once there is free space.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::{StorageError, layout};

const NAME: &str = "ballast";
/// sled fills the rest of its last segment and writes its page table, which is slightly larger than
/// the previous one and exists next to it for a moment.
const SEGMENT: u64 = layout::SEGMENT_BYTES as u64;
/// The indexes and our own files take some space too, and the page table grows until the database is
/// opened the next time.
const MIN_BYTES: u64 = 2 * SEGMENT;

pub(crate) struct Ballast {
    dir: PathBuf,
    path: PathBuf,
}

impl Ballast {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.into(),
            path: dir.join(NAME),
        }
    }

    /// Removes the file if the disk has too little free space to open the database.
    pub(crate) fn release_if_disk_full(&self) -> Result<(), StorageError> {
        if free_bytes(&self.dir)? >= self.needed() {
            return Ok(());
        }
        match fs::remove_file(&self.path) {
            Ok(()) => {
                tracing::warn!(
                    path = %self.path.display(),
                    "the disk is full: released the space that was reserved for opening the database"
                );
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StorageError::io("remove", &self.path)(error)),
        }
    }

    /// Releases the reserve if necessary; fails if there is still too little space to open the
    /// database.
    pub(crate) fn ensure_space(&self) -> Result<(), StorageError> {
        self.release_if_disk_full()?;
        let (free, needed) = (free_bytes(&self.dir)?, self.needed());
        if free >= needed {
            return Ok(());
        }
        Err(StorageError::DiskFull {
            dir: self.dir.clone(),
            free,
            needed,
        })
    }

    /// Writes the file again if more than `reserve` bytes stay free. Called periodically, so a failure
    /// is only logged.
    pub(crate) fn refill(&self, reserve: u64) {
        // A file that has become too small is replaced.
        if fs::metadata(&self.path).is_ok_and(|found| found.len() > self.needed()) {
            return;
        }
        let _ = fs::remove_file(&self.path);
        let (bytes, free) = (self.bytes(), free_bytes(&self.dir));
        if free.is_ok_and(|free| free > bytes.saturating_add(reserve))
            && let Err(error) = self.write(bytes)
        {
            tracing::debug!(path = %self.path.display(), %error, "cannot reserve space for opening the database on a full disk");
            // A partial file would be taken for a complete one.
            let _ = fs::remove_file(&self.path);
        }
    }

    fn write(&self, bytes: u64) -> std::io::Result<()> {
        let mut file = File::create_new(&self.path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::NOTSUP) => {
                let zeros = vec![0; 1 << 20];
                for _ in 0..bytes.div_ceil(1 << 20) {
                    file.write_all(&zeros)?;
                }
                Ok(())
            }
            done => Ok(done?),
        }
    }

    /// The bytes that opening may write.
    fn needed(&self) -> u64 {
        SEGMENT + 2 * self.table()
    }

    /// The bytes that are reserved.
    fn bytes(&self) -> u64 {
        MIN_BYTES + 4 * self.table()
    }

    /// The current size of sled's page table in bytes.
    fn table(&self) -> u64 {
        let tables = fs::read_dir(self.dir.join("sled"))
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"snap."))
            .filter_map(|entry| Some(entry.metadata().ok()?.len()));
        tables.max().unwrap_or(0)
    }
}

/// The free bytes of the folder's disk that this user may use.
fn free_bytes(dir: &Path) -> Result<u64, StorageError> {
    let disk =
        rustix::fs::statvfs(dir).map_err(|errno| StorageError::io("measure", dir)(errno.into()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Fails unless a file can be created, written and synced in the folder.
pub(crate) fn try_write(dir: &Path) -> Result<(), StorageError> {
    let path = dir.join("probe");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&path)?;
        file.write_all(&[1; 4096])?;
        file.sync_all()
    };
    let written = write().map_err(StorageError::io("write", &path));
    // A file that stays is overwritten by the next probe.
    let _ = fs::remove_file(&path);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_exists_while_there_is_space() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(dir.path());
        ballast.release_if_disk_full().unwrap();
        ballast.refill(u64::MAX);
        assert!(!dir.path().join(NAME).exists(), "nothing would stay free");
        ballast.refill(0);
        let bytes = fs::metadata(dir.path().join(NAME)).unwrap().len();
        assert!(bytes >= MIN_BYTES, "{bytes}");
        ballast.release_if_disk_full().unwrap();
        assert!(dir.path().join(NAME).exists(), "the disk is not full");
        try_write(dir.path()).unwrap();
        assert!(!dir.path().join("probe").exists());
    }
}
