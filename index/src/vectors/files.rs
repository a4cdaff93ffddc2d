//! Names and durability of a segment's files:
//!
//! | file | content |
//! |---|---|
//! | `N.vectors` | full vectors |
//! | `N.ids` | rows and passages |
//! | `N.index` | the index that FAISS built |
//! | `N.codes` | 8-bit codes of a graph's vectors |
//! | `N.live` | positions that are not removed |
//!
//! The first four never change once the manifest names them with their checksums. The last is
//! replaced atomically and has its own checksum. Its bits are only ever cleared, so it may be
//! newer than the manifest.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::entry::Entry;
use crate::error::IndexError;

/// The folder of an index's vectors and the number of one of its segments.
#[derive(Debug, Clone, Copy)]
pub(super) struct SegmentFiles<'a> {
    pub folder: &'a Path,
    pub number: u64,
}

/// The suffixes of a segment's files.
const SUFFIXES: [&str; 5] = ["vectors", "ids", "index", "codes", "live"];

impl<'a> SegmentFiles<'a> {
    pub(super) fn new(folder: &'a Path, number: u64) -> Self {
        Self { folder, number }
    }

    pub(super) fn vectors(self) -> PathBuf {
        self.path("vectors")
    }

    pub(super) fn ids(self) -> PathBuf {
        self.path("ids")
    }

    pub(super) fn index(self) -> PathBuf {
        self.path("index")
    }

    pub(super) fn codes(self) -> PathBuf {
        self.path("codes")
    }

    pub(super) fn live(self) -> PathBuf {
        self.path("live")
    }

    /// Whether the files that the manifest names exist; does not read them.
    pub(super) fn exist(self, entry: &Entry) -> bool {
        let index = entry.index.map(|_| self.index());
        let codes = entry.index.and_then(|index| index.codes_crc);
        let codes = codes.map(|_| self.codes());
        let mut required = [self.vectors(), self.ids()]
            .into_iter()
            .chain(index)
            .chain(codes);
        required.all(|path| path.exists())
    }

    /// Removes the files. Existing maps of them stay valid.
    pub(super) fn remove(self) -> Result<(), IndexError> {
        for path in SUFFIXES.map(|suffix| self.path(suffix)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(IndexError::io("remove", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn path(self, suffix: &str) -> PathBuf {
        self.folder.join(format!("{}.{suffix}", self.number))
    }
}

/// Removes every file of the folder except `manifest` and the files of these segments.
pub(super) fn sweep(folder: &Path, numbers: &[u64], manifest: &str) -> Result<(), IndexError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(IndexError::io("list", folder)(error)),
    };
    for entry in entries {
        let path = entry.map_err(IndexError::io("list", folder))?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let number = name.split_once('.').and_then(|(number, suffix)| {
            let known = SUFFIXES.contains(&suffix);
            number.parse().ok().filter(|_| known)
        });
        if name != manifest && !number.is_some_and(|number| numbers.contains(&number)) {
            fs::remove_file(&path).map_err(IndexError::io("remove", &path))?;
        }
    }
    Ok(())
}

pub(super) fn write_durably(path: &Path, parts: &[&[u8]]) -> Result<(), IndexError> {
    let write = || -> io::Result<()> {
        let mut file = File::create(path)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()
    };
    write().map_err(IndexError::io("write", path))
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), IndexError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(IndexError::io("sync", folder))
}

/// The CRC-32 of a file and its length in bytes.
pub(super) fn checksum(path: &Path) -> io::Result<(u32, u64)> {
    let mut file = File::open(path)?;
    let mut crc = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let read = io::Read::read(&mut file, &mut buffer)?;
        if read == 0 {
            return Ok((crc.finalize(), length));
        }
        crc.update(&buffer[..read]);
        length += read as u64;
    }
}
