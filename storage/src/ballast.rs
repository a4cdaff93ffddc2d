//! A file that takes up room for opening the database on a full disk.
//!
//! sled writes a few megabytes while it is opened. On a disk that is full to the last byte that
//! fails, and with it the reads. So the file `ballast` holds as much; who opens the database and finds
//! no room removes it. It is written again once there is room.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::{StorageError, layout};

const NAME: &str = "ballast";
/// sled fills the rest of its last segment and writes its table of pages, which is a little larger
/// than the last one and for a moment there beside it.
const SEGMENT: u64 = layout::SEGMENT_BYTES as u64;
/// The indexes and our own files take some pages too, and the table grows until the next opening.
const LEAST: u64 = 2 * SEGMENT;

pub(crate) struct Ballast {
    dir: PathBuf,
    path: PathBuf,
}

impl Ballast {
    pub(crate) fn of(dir: &Path) -> Self {
        Self {
            dir: dir.into(),
            path: dir.join(NAME),
        }
    }

    /// Makes room for a start, where there is none.
    pub(crate) fn drop_on_a_full_disk(&self) -> Result<(), StorageError> {
        if free_bytes(&self.dir)? >= self.needed() {
            return Ok(());
        }
        match fs::remove_file(&self.path) {
            Ok(()) => {
                tracing::warn!(
                    path = %self.path.display(),
                    "the disk is full: the room that was kept for opening the database is given up"
                );
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StorageError::io("remove", &self.path)(error)),
        }
    }

    /// Makes the room that opening needs, or fails.
    pub(crate) fn make_room(&self) -> Result<(), StorageError> {
        self.drop_on_a_full_disk()?;
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

    /// Takes up the room again where more than `reserve` stays free beside it. Tried again and
    /// again, so a failure is no more than a line in the log.
    pub(crate) fn restore(&self, reserve: u64) {
        // One that has become too small is made anew.
        if fs::metadata(&self.path).is_ok_and(|found| found.len() > self.needed()) {
            return;
        }
        let _ = fs::remove_file(&self.path);
        let (bytes, free) = (self.bytes(), free_bytes(&self.dir));
        if free.is_ok_and(|free| free > bytes.saturating_add(reserve))
            && let Err(error) = self.write(bytes)
        {
            tracing::debug!(path = %self.path.display(), %error, "no room is kept for a start on a full disk");
            // Half of it would pass for all of it.
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

    /// What opening may take.
    fn needed(&self) -> u64 {
        SEGMENT + 2 * self.table()
    }

    /// What is kept for it.
    fn bytes(&self) -> u64 {
        LEAST + 4 * self.table()
    }

    /// How large sled's table of pages is now.
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

/// What is left to us of the folder's disk.
fn free_bytes(dir: &Path) -> Result<u64, StorageError> {
    let disk =
        rustix::fs::statvfs(dir).map_err(|errno| StorageError::io("measure", dir)(errno.into()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Whether a file can be made, filled and synced in the folder.
pub(crate) fn try_write(dir: &Path) -> Result<(), StorageError> {
    let path = dir.join("probe");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&path)?;
        file.write_all(&[1; 4096])?;
        file.sync_all()
    };
    let written = write().map_err(StorageError::io("write", &path));
    // It says nothing; what stays is written over by the next.
    let _ = fs::remove_file(&path);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_while_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::of(dir.path());
        ballast.drop_on_a_full_disk().unwrap();
        ballast.restore(u64::MAX);
        assert!(!dir.path().join(NAME).exists(), "nothing would stay free");
        ballast.restore(0);
        let bytes = fs::metadata(dir.path().join(NAME)).unwrap().len();
        assert!(bytes >= LEAST, "{bytes}");
        ballast.drop_on_a_full_disk().unwrap();
        assert!(dir.path().join(NAME).exists(), "the disk is not full");
        try_write(dir.path()).unwrap();
        assert!(!dir.path().join("probe").exists());
    }
}
