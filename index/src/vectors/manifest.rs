//! The manifest lists a collection's segments on disk. It is one file that is replaced
//! atomically, and it names only files that are complete.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::files::sync_folder;
use crate::error::IndexError;
use crate::row::VectorKind;
use crate::saved_state::Reason;

pub(super) const NAME: &str = "manifest";

/// Increased whenever the meaning of a file changes.
const FORMAT: u32 = 3;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    dim: usize,
    /// The write after which the segments held everything; `None` while newer vectors were in
    /// memory only.
    pub complete_at: Option<u64>,
    /// The number of the next segment.
    pub next_number: u64,
    pub segments: Vec<ManifestSegment>,
}

/// A segment of the manifest. The names of the fields are part of the format on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ManifestSegment {
    pub image: bool,
    /// Whether it was in memory and returns to memory when it is opened.
    pub growing: bool,
    pub entry: Entry,
}

impl Manifest {
    pub(super) fn new(dim: usize) -> Self {
        Self {
            format: FORMAT,
            dim,
            complete_at: None,
            next_number: 1,
            segments: Vec::new(),
        }
    }

    /// Reads the manifest of `folder`, or returns why it cannot be used.
    pub(super) fn read(folder: &Path, dim: usize) -> Result<Self, Reason> {
        let corrupt = |what: &str| Reason::Corrupt(what.to_owned());
        let text = match fs::read_to_string(folder.join(NAME)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Reason::Missing),
            Err(error) => return Err(Reason::Corrupt(format!("the manifest: {error}"))),
        };
        let (body, checksum) = text
            .trim_end()
            .rsplit_once('\n')
            .ok_or_else(|| corrupt("the manifest is truncated"))?;
        let body_checksum = crc(body);
        if checksum != body_checksum {
            // Format 1 had a longer checksum.
            return Err(if checksum.len() == body_checksum.len() {
                corrupt("the manifest's checksum")
            } else {
                Reason::Format("the manifest has another format".to_owned())
            });
        }
        let manifest: Self =
            serde_json::from_str(body).map_err(|error| Reason::Format(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(Reason::Format(format!(
                "format {}, expected {FORMAT}",
                manifest.format
            )));
        }
        if manifest.dim != dim {
            return Err(Reason::Format(format!(
                "{} dimensions, the collection has {dim}",
                manifest.dim
            )));
        }
        Ok(manifest)
    }

    /// Replaces the manifest; it is durable on return.
    pub(super) fn write(&self, folder: &Path) -> Result<(), IndexError> {
        let path = folder.join(NAME);
        let fresh = folder.join("manifest.new");
        let write = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            let body = serde_json::to_string(self)?;
            let mut file = File::create(&fresh)?;
            writeln!(file, "{body}\n{}", crc(&body))?;
            file.sync_all()?;
            fs::rename(&fresh, &path)
        };
        write().map_err(IndexError::io("write", &path))?;
        sync_folder(folder)
    }

    pub(super) fn entry_mut(&mut self, number: u64) -> Option<&mut Entry> {
        self.segments
            .iter_mut()
            .map(|named| &mut named.entry)
            .find(|entry| entry.number == number)
    }
}

impl ManifestSegment {
    pub(super) fn kind(&self) -> VectorKind {
        if self.image {
            VectorKind::Image
        } else {
            VectorKind::Text
        }
    }
}

fn crc(body: &str) -> String {
    format!("{:08x}", crc32fast::hash(body.as_bytes()))
}
