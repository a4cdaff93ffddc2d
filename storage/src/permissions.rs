//! File modes: only the owner may read a data folder.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::StorageError;

/// The entries that clipdb creates in a data folder.
const ENTRIES: [&str; 8] = [
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

/// Creates the folder with mode 0700 if it does not exist.
pub(crate) fn create_private_folder(dir: &Path) -> Result<(), StorageError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(StorageError::io("create", dir))
}

/// Removes the permissions of others from a data folder of an older version. Nested entries are
/// protected by the mode of their folder. A failure is only logged: some filesystems have no modes, and
/// the folder may belong to another user.
pub(crate) fn restrict_to_owner(dir: &Path) {
    for name in ENTRIES {
        restrict(&dir.join(name));
    }
    // A folder such as /tmp stays shared.
    let is_shared =
        |dir: &Path| fs::metadata(dir).is_ok_and(|found| found.permissions().mode() & STICKY != 0);
    if !is_shared(dir) {
        restrict(dir);
    }
}

fn restrict(path: &Path) {
    // Links are not followed: their target may belong to others.
    let Ok(found) = fs::symlink_metadata(path) else {
        return;
    };
    let mode = found.permissions().mode();
    if found.is_symlink() || mode & OTHERS == 0 {
        return;
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777 & !OTHERS)) {
        Ok(()) => {
            tracing::info!(path = %path.display(), "restricted access to the owner");
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "other users may read it, and the mode cannot be changed");
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
    fn own_entries_become_private_and_others_are_unchanged() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("a/data");
        create_private_folder(&dir).unwrap();
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
        restrict_to_owner(&dir);
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
        restrict_to_owner(&dir);
        assert_eq!(
            (mode(&dir), mode(&dir.join("sled"))),
            (0o1777, 0o700),
            "a folder like /tmp"
        );
    }
}
