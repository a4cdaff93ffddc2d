//! The folder of sled's pages that are too large for its log.

use std::fs::File;
use std::io::SeekFrom;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::fs::RawDir;

use crate::StorageError;

/// The folder, held open: a commit lists it and must not fail because no file can be opened.
pub(crate) struct LargePages {
    folder: Mutex<File>,
    path: PathBuf,
}

impl LargePages {
    pub(crate) fn open(path: &Path) -> Result<Self, StorageError> {
        let folder = File::open(path).map_err(StorageError::io("open", path))?;
        Ok(Self {
            folder: Mutex::new(folder),
            path: path.into(),
        })
    }

    /// Whether there are any.
    pub(crate) fn any(&self) -> Result<bool, StorageError> {
        self.has_entries()
            .map_err(StorageError::io("list", &self.path))
    }

    fn has_entries(&self) -> std::io::Result<bool> {
        let folder = self.folder.lock();
        std::io::Seek::seek(&mut &*folder, SeekFrom::Start(0))?;
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut entries = RawDir::new(&*folder, &mut buffer);
        while let Some(entry) = entries.next() {
            if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn pages_are_detected_when_they_appear_and_disappear() {
        let dir = tempfile::tempdir().unwrap();
        let pages = LargePages::open(dir.path()).unwrap();
        for _ in 0..3 {
            assert!(!pages.any().unwrap());
            fs::write(dir.path().join("4711"), "page").unwrap();
            assert!(pages.any().unwrap());
            assert!(pages.any().unwrap());
            fs::remove_file(dir.path().join("4711")).unwrap();
        }
    }
}
