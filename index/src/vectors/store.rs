//! A segment that is searched while it is written, and its files.
//!
//! A save writes `<generation>.faiss`, makes it durable, and then renames a manifest over
//! the old one: whenever the process dies, the manifest names a whole file. The manifest
//! carries the format, the dimension, the sequence and checksums of the file and of itself.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{FlatSegment, VectorId, VectorSegment};
use crate::collection::{Reason, State};
use crate::error::IndexError;
use crate::row::{Row, RowId, Scored, VectorKind};

const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest";

/// The vectors of one collection. Reads go on during a write or a save, except while the
/// write's own vectors are copied in.
pub(crate) struct VectorStore {
    folder: PathBuf,
    dim: usize,
    segment: RwLock<Box<dyn VectorSegment>>,
    saved: Mutex<Saved>,
}

/// What is on disk. Its lock is held by whoever writes: it keeps a save's picture still
/// without keeping readers out.
struct Saved {
    generation: u64,
    /// The sequence on disk, if nothing was applied since.
    clean_at: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    dim: usize,
    sequence: u64,
    generation: u64,
    sha256: String,
}

impl VectorStore {
    /// Opens what was saved in `folder`, or wipes it and starts empty, saying why.
    pub(crate) fn open(folder: &Path, dim: usize) -> Result<(Self, State), IndexError> {
        let empty = FlatSegment::new(dim)?;
        let (segment, saved, state) = match load(folder, dim) {
            Ok((segment, manifest)) => {
                let saved = Saved {
                    generation: manifest.generation,
                    clean_at: Some(manifest.sequence),
                };
                let sequence = manifest.sequence;
                (segment, saved, State::Loaded { sequence })
            }
            Err(reason) => {
                wipe(folder)?;
                let saved = Saved {
                    generation: 0,
                    clean_at: None,
                };
                (empty, saved, State::Empty { reason })
            }
        };
        let store = Self {
            folder: folder.to_owned(),
            dim,
            segment: RwLock::new(Box::new(segment)),
            saved: Mutex::new(saved),
        };
        Ok((store, state))
    }

    /// Checks what [`VectorStore::apply`] would be given, so that a batch that cannot be
    /// applied is refused before anything changed.
    pub(crate) fn check(&self, add: &[Row<'_>]) -> Result<(), IndexError> {
        for row in add {
            for (kind, vector) in &row.vectors {
                VectorId::new(row.id, *kind)?;
                self.check_vector(vector)?;
            }
        }
        Ok(())
    }

    /// Removes, then adds; both are found, or no longer found, on return.
    pub(crate) fn apply(&self, remove: &[RowId], add: &[Row<'_>]) -> Result<(), IndexError> {
        let mut vectors = Vec::new();
        for row in add {
            for (kind, vector) in &row.vectors {
                vectors.push((VectorId::new(row.id, *kind)?, *vector));
            }
        }
        let mut saved = self.saved.lock();
        saved.clean_at = None;
        let mut segment = self.segment.write();
        segment.remove(remove)?;
        segment.add(&vectors)
    }

    pub(crate) fn search(
        &self,
        query: &[f32],
        kind: VectorKind,
        limit: usize,
    ) -> Result<Vec<Scored>, IndexError> {
        self.check_vector(query)?;
        self.segment.read().search(query, kind, limit)
    }

    pub(crate) fn len(&self, kind: VectorKind) -> usize {
        self.segment.read().len(kind)
    }

    pub(crate) fn rows(&self) -> Vec<RowId> {
        self.segment.read().rows()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.segment.read().memory_bytes()
    }

    /// Makes the present state durable as that of `sequence`; nothing is written when it is
    /// already.
    pub(crate) fn save(&self, sequence: u64) -> Result<(), IndexError> {
        let mut saved = self.saved.lock();
        if saved.clean_at == Some(sequence) {
            return Ok(());
        }
        fs::create_dir_all(&self.folder).map_err(IndexError::io("create", &self.folder))?;
        let generation = saved.generation + 1;
        let path = self.folder.join(data_name(generation));
        self.segment.write().compact()?;
        self.segment.read().save(&path)?;
        let sha256 = digest(&path).map_err(IndexError::io("read back", &path))?;
        sync(&path)?;
        let manifest = Manifest {
            format: FORMAT,
            dim: self.dim,
            sequence,
            generation,
            sha256,
        };
        write_manifest(&self.folder, &manifest)?;
        let old = self.folder.join(data_name(saved.generation));
        *saved = Saved {
            generation,
            clean_at: Some(sequence),
        };
        match fs::remove_file(&old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(IndexError::io("remove", &old)(error))
            }
            _ => Ok(()),
        }
    }

    fn check_vector(&self, vector: &[f32]) -> Result<(), IndexError> {
        if vector.len() != self.dim {
            return Err(IndexError::Dimension {
                expected: self.dim,
                got: vector.len(),
            });
        }
        if !vector.iter().all(|number| number.is_finite()) {
            return Err(IndexError::NotFinite);
        }
        Ok(())
    }
}

fn data_name(generation: u64) -> String {
    format!("{generation}.faiss")
}

fn load(folder: &Path, dim: usize) -> Result<(FlatSegment, Manifest), Reason> {
    let damaged = |what: &str| Reason::Damaged(what.to_owned());
    let text = match fs::read_to_string(folder.join(MANIFEST)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Reason::Missing),
        Err(error) => return Err(Reason::Damaged(format!("the manifest: {error}"))),
    };
    let (body, checksum) = text
        .trim_end()
        .rsplit_once('\n')
        .ok_or_else(|| damaged("the manifest is cut short"))?;
    if hex(&Sha256::digest(body)) != checksum {
        return Err(damaged("the manifest's checksum"));
    }
    let manifest: Manifest =
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
    let path = folder.join(data_name(manifest.generation));
    let found = digest(&path).map_err(|error| Reason::Damaged(format!("the vectors: {error}")))?;
    if found != manifest.sha256 {
        return Err(damaged("the vectors' checksum"));
    }
    let segment =
        FlatSegment::load(&path, dim).map_err(|error| Reason::Damaged(error.to_string()))?;
    Ok((segment, manifest))
}

fn wipe(folder: &Path) -> Result<(), IndexError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(IndexError::io("wipe", folder)(error))
        }
        _ => Ok(()),
    }
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<(), IndexError> {
    let path = folder.join(MANIFEST);
    let fresh = folder.join("manifest.new");
    let write = || -> io::Result<()> {
        let body = serde_json::to_string(manifest)?;
        let mut file = File::create(&fresh)?;
        writeln!(file, "{body}\n{}", hex(&Sha256::digest(&body)))?;
        file.sync_all()?;
        fs::rename(&fresh, &path)
    };
    write().map_err(IndexError::io("write", &path))?;
    sync(folder)
}

fn sync(path: &Path) -> Result<(), IndexError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(IndexError::io("sync", path))
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
