//! Nobody but its owner reads a data folder.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::StorageError;

/// What we make in a data folder.
const OURS: [&str; 8] = [
    "sled",
    "images",
    "index",
    "snapshots",
    "damaged",
    "witness",
    "lock",
    "ballast",
];
const OTHERS: u32 = 0o077;
const STICKY: u32 = 0o1000;

/// Makes the folder, where it is missing, for its owner alone.
pub(crate) fn create(dir: &Path) -> Result<(), StorageError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(StorageError::io("create", dir))
}

/// Takes what others may do with a folder of an older build. What lies in a folder below is kept
/// by that folder's mode. A failure is told and no more: some disks have no modes, and a folder
/// may be another user's.
pub(crate) fn tighten(dir: &Path) {
    for name in OURS {
        restrict(&dir.join(name));
    }
    // A folder such as /tmp is everybody's, whatever was put in it.
    let is_shared =
        |dir: &Path| fs::metadata(dir).is_ok_and(|found| found.permissions().mode() & STICKY != 0);
    if !is_shared(dir) {
        restrict(dir);
    }
}

fn restrict(path: &Path) {
    // No link is followed: what it leads to need not be ours.
    let Ok(found) = fs::symlink_metadata(path) else {
        return;
    };
    let mode = found.permissions().mode();
    if found.is_symlink() || mode & OTHERS == 0 {
        return;
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777 & !OTHERS)) {
        Ok(()) => {
            tracing::info!(path = %path.display(), "others than its owner may not read it any more")
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "others may read it, and that cannot be changed")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_ours_becomes_private_and_what_is_not_stays() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("a/data");
        create(&dir).unwrap();
        assert_eq!(mode(&dir), 0o700);
        fs::create_dir(dir.join("sled")).unwrap();
        fs::write(dir.join("witness"), "").unwrap();
        fs::write(dir.join("notes.txt"), "").unwrap();
        for (name, open) in [
            ("sled", 0o755),
            ("witness", 0o644),
            ("notes.txt", 0o644),
            ("", 0o755),
        ] {
            set(&dir.join(name), open);
        }
        tighten(&dir);
        assert_eq!(
            (
                mode(&dir),
                mode(&dir.join("sled")),
                mode(&dir.join("witness"))
            ),
            (0o700, 0o700, 0o600)
        );
        assert_eq!(mode(&dir.join("notes.txt")), 0o644);

        set(&dir, 0o1777);
        set(&dir.join("sled"), 0o750);
        tighten(&dir);
        assert_eq!(
            (mode(&dir), mode(&dir.join("sled"))),
            (0o1777, 0o700),
            "a folder like /tmp"
        );
    }
}
