//! The list of a collection's segments on disk: one file, replaced as a whole, that names
//! whole files only.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::{Entry, sync_folder};
use crate::collection::Reason;
use crate::error::IndexError;
use crate::row::VectorKind;

pub(super) const NAME: &str = "manifest";

/// Raised whenever a file of the index changes its meaning.
const FORMAT: u32 = 3;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    dim: usize,
    /// The write after which the segments held everything; none while newer vectors were in
    /// memory alone.
    pub complete_at: Option<u64>,
    /// The number that the next segment gets.
    pub next_number: u64,
    pub segments: Vec<Named>,
}

/// A segment and its kind of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    pub image: bool,
    /// Whether it goes back to memory when it is opened, to take more vectors.
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

    /// Reads what `folder` has; why not, otherwise.
    pub(super) fn read(folder: &Path, dim: usize) -> Result<Self, Reason> {
        let damaged = |what: &str| Reason::Damaged(what.to_owned());
        let text = match fs::read_to_string(folder.join(NAME)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Reason::Missing),
            Err(error) => return Err(Reason::Damaged(format!("the manifest: {error}"))),
        };
        let (body, checksum) = text
            .trim_end()
            .rsplit_once('\n')
            .ok_or_else(|| damaged("the manifest is cut short"))?;
        let body_checksum = crc(body);
        if checksum != body_checksum {
            // Format 1 had a longer checksum.
            return Err(if checksum.len() == body_checksum.len() {
                damaged("the manifest's checksum")
            } else {
                Reason::Format("a manifest of another format".to_owned())
            });
        }
        let manifest: Self =
            serde_json::from_str(body).map_err(|error| Reason::Format(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(Reason::Format(format!(
                "format {} where {FORMAT} is expected",
                manifest.format
            )));
        }
        if manifest.dim != dim {
            return Err(Reason::Format(format!(
                "{} dimensions where the collection has {dim}",
                manifest.dim
            )));
        }
        Ok(manifest)
    }

    /// Durable when it returns.
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

impl Named {
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
