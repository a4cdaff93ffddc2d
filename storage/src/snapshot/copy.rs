//! Writes a consistent archive of a collection while writes continue.
//!
//! Document versions never change, so the state at one moment is the list of the versions that are
//! current. The copy writes them one after the other. A commit that is about to remove a version which
//! is not written yet writes it first. Commits therefore wait for one document at most, and nothing is
//! buffered in memory.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::archive::{Frame, Writer};
use super::{Manifest, Progress, RawEntry, cancelled, version};
use crate::collection::RemovalObserver;
use crate::counters::Counters;
use crate::files::{Files, decode_key, encode_key};
use crate::{BlobHash, CollectionStore, DocumentId, DocumentKey, StorageError, catalog};
use crate::{clock, layout, record};

/// Bytes between two checks of the free disk space.
const CHECK_INTERVAL: u64 = 4 << 20;

/// A copy in progress.
pub(super) struct CopyInProgress(Mutex<State>);

struct State {
    /// The versions that are not written yet.
    pending: BTreeMap<DocumentKey, DocumentId>,
    images: HashSet<BlobHash>,
    archive: Option<Writer<BufWriter<File>>>,
    path: PathBuf,
    checked_at: u64,
    /// The error that ends the copy.
    failed: Option<StorageError>,
}

/// A complete and synced archive.
pub(super) struct CopiedArchive {
    pub manifest: Manifest,
    pub images: u64,
    pub bytes: u64,
    pub sha256: String,
}

impl CollectionStore {
    /// Writes the current state of the collection to a new file at `path`. Blocks, while writes to the
    /// collection continue.
    pub(super) fn copy_to(
        &self,
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<CopiedArchive, StorageError> {
        let (copying, manifest) = self.begin_copy(path)?;
        let total = manifest.documents;
        let outcome = loop {
            match self.copy_one(&copying) {
                Ok(0) => break Ok(()),
                Ok(left) if progress.reached(total.saturating_sub(left), total) => {}
                Ok(_) => break Err(cancelled()),
                Err(error) => break Err(error),
            }
        };
        self.stop_observing();
        outcome?;
        progress.reached(total, total);
        let mut state = copying.0.lock();
        let images = state.images.len() as u64;
        let archive = state.archive.take().ok_or_else(cancelled)?;
        let io = StorageError::io("write", path);
        let finished = archive.finish().and_then(|(out, bytes, sha256)| {
            let file = out
                .into_inner()
                .map_err(std::io::IntoInnerError::into_error)?;
            file.sync_all()?;
            Ok((bytes, sha256))
        });
        let (bytes, sha256) = finished.map_err(io)?;
        Ok(CopiedArchive {
            manifest,
            images,
            bytes,
            sha256,
        })
    }

    /// Lists the current versions between two commits, and observes all later commits.
    fn begin_copy(&self, path: &Path) -> Result<(Arc<CopyInProgress>, Manifest), StorageError> {
        let io = |error| StorageError::io("write", path)(error);
        let file = File::create(path).map_err(io)?;
        let mut archive = Writer::new(BufWriter::with_capacity(1 << 18, file)).map_err(io)?;
        self.observe_removals(|files, counters| {
            files.database.check_space(0)?;
            let mut pending = BTreeMap::new();
            for entry in files.tree.scan_prefix(layout::IDS) {
                let (id_key, value) = entry.map_err(StorageError::sled("list documents"))?;
                let key = decode_key(&id_key, &value)?;
                pending.insert(key, layout::id_of(&id_key)?);
            }
            let manifest = Manifest {
                format: clipdb_migrations::FORMAT_VERSION,
                number: files.number,
                definition: files.definition.clone(),
                sequence: counters.sequence,
                documents: pending.len() as u64,
                taken_at: clock::unix_ms(),
            };
            for frame in [
                Frame::Manifest(Box::new(manifest.clone())),
                Frame::Catalog(catalog_entry(files)?),
                Frame::Counters(counters_entry(counters)?),
            ] {
                archive.write(&frame).map_err(io)?;
            }
            let copying = CopyInProgress(Mutex::new(State {
                pending,
                images: HashSet::new(),
                archive: Some(archive),
                path: path.to_owned(),
                checked_at: 0,
                failed: None,
            }));
            Ok((Arc::new(copying), manifest))
        })
    }

    /// Writes the next document, and returns the number of documents left.
    fn copy_one(&self, copying: &CopyInProgress) -> Result<u64, StorageError> {
        self.while_alive(|files| {
            let mut state = copying.0.lock();
            if let Some(error) = state.failed.take() {
                return Err(error);
            }
            if let Some((key, id)) = state.pending.pop_first() {
                state.write(files, key, &id)?;
            }
            Ok(state.pending.len() as u64)
        })
    }
}

impl RemovalObserver for CopyInProgress {
    fn before_removal(&self, files: &Files, versions: &[DocumentKey]) {
        let mut state = self.0.lock();
        for key in versions {
            if let Some(id) = state.pending.remove(key)
                && let Err(error) = state.write(files, *key, &id)
            {
                // The commit continues; the copy ends with this error.
                state.failed.get_or_insert(error);
            }
        }
    }
}

impl State {
    fn write(
        &mut self,
        files: &Files,
        key: DocumentKey,
        id: &DocumentId,
    ) -> Result<(), StorageError> {
        // Decoded, so that a corrupt document is an error instead of being copied.
        let document = files.record(id, key)?;
        let vectors = record::read_vectors(&files.tree, key, files.definition.dim)?;
        if vectors.is_empty() {
            return Err(StorageError::Damaged {
                what: version(key),
                reason: "its vectors are missing".into(),
            });
        }
        let id_key = layout::id(id);
        let current = encode_key(&id_key, key);
        let mut entries = vec![(id_key, current)];
        entries.extend(record::encode(&document)?);
        entries.extend(record::encode_vectors(key, &vectors));
        if let Some(image) = &document.image {
            entries.push((layout::reference(&image.hash, key), Vec::new()));
            if self.images.insert(image.hash) {
                let bytes = files.image(&image.hash)?;
                self.frame(files, &Frame::Image(image.hash, bytes.to_vec()))?;
            }
        }
        self.frame(files, &Frame::Document(entries))
    }

    fn frame(&mut self, files: &Files, frame: &Frame) -> Result<(), StorageError> {
        let archive = self.archive.as_mut().ok_or_else(cancelled)?;
        if archive.bytes() - self.checked_at > CHECK_INTERVAL {
            self.checked_at = archive.bytes();
            files.database.check_space(0)?;
        }
        archive
            .write(frame)
            .map_err(StorageError::io("write", &self.path))
    }
}

fn catalog_entry(files: &Files) -> Result<RawEntry, StorageError> {
    catalog::encode_entry(&catalog::Entry {
        number: files.number,
        definition: files.definition.clone(),
    })
}

fn counters_entry(counters: Counters) -> Result<RawEntry, StorageError> {
    Ok((layout::COUNTERS.to_vec(), counters.encode()?))
}
