//! A small disk that a test can fill.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use clipdb_skip::report_skip;
use tempfile::TempDir;

/// A data folder on a disk of its own (a tmpfs), unmounted when dropped.
pub struct SmallDisk(Arc<TempDir>);

impl SmallDisk {
    /// Mounts it. `None`, with a report of the skip, if this user may not mount a disk.
    pub fn new(mebibytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&data)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            Some(Self(Arc::new(folder)))
        } else {
            report_skip("this user may not mount a disk");
            None
        }
    }

    /// The parent of the data folder, for [`Setup::start_in`](crate::Setup::start_in).
    pub fn folder(&self) -> Arc<TempDir> {
        Arc::clone(&self.0)
    }

    pub fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Fills the disk except for about `leave` bytes, with a file of this name.
    pub fn fill(&self, name: &str, leave: u64) {
        let mut file = fs::File::create(self.data().join(name)).unwrap();
        let chunk = vec![1; 1 << 16];
        let mut room = self.free().saturating_sub(leave);
        while room > 0 {
            let length = room.min(chunk.len() as u64) as usize;
            match file.write(&chunk[..length]) {
                Ok(written) => room -= written as u64,
                // The server writes to the disk too.
                Err(_) => break,
            }
        }
    }

    pub fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.data()).unwrap();
        disk.f_bavail * disk.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.data()).status();
    }
}
