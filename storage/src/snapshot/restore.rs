//! Restores an archive as a collection under a new number without a name. The collection gets its name
//! later, in one batch. Until then existing data is unchanged; a failed restore or a crash leaves a
//! tree without an entry, which is dropped at the next startup.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use sled::Batch;

use super::archive::{Frame, Reader, bad};
use super::scratch::Scratch;
use super::verify::{self, invalid_archive};
use super::{Manifest, Progress, RawEntry, cancelled};
use crate::catalog::Entry;
use crate::database::Database;
use crate::tree::Tree;
use crate::{BlobHash, CollectionDefinition, CollectionStore, StorageError, layout};

/// Bytes per batch.
const BATCH_BYTES: usize = 2 << 20;
/// Bytes of images that are buffered before they are written.
const IMAGE_BYTES: usize = 16 << 20;

/// A restored collection that has no name yet. It is removed when this is dropped.
pub struct PendingRestore {
    pub(crate) collection: CollectionStore,
    pub(crate) adopted: bool,
}

impl PendingRestore {
    /// The collection, which can be indexed before it gets its name.
    pub fn collection(&self) -> &CollectionStore {
        &self.collection
    }
}

impl Drop for PendingRestore {
    fn drop(&mut self) {
        if !self.adopted
            && let Err(error) = self.collection.drop_files()
        {
            tracing::warn!(%error, "the files of a failed restore will be removed at the next startup");
        }
    }
}

/// The manifest of an archive; the rest is not read.
pub fn read_manifest(archive: impl Read) -> Result<Manifest, StorageError> {
    let manifest = match Reader::new(archive)?.next()? {
        Some(Frame::Manifest(manifest)) => *manifest,
        _ => return Err(bad("it does not begin with a manifest")),
    };
    if manifest.format > clipdb_migrations::FORMAT_VERSION {
        return Err(bad(format!(
            "it has format {}, and this version of clipdb supports formats up to {}; restore it with a newer version",
            manifest.format,
            clipdb_migrations::FORMAT_VERSION
        )));
    }
    Ok(manifest)
}

/// Reads the archive into the tree `number` with this definition.
pub(crate) fn read_into(
    database: &Arc<Database>,
    number: u64,
    definition: CollectionDefinition,
    archive: impl Read,
    progress: &dyn Progress,
) -> Result<PendingRestore, StorageError> {
    let mut reader = Reader::new(archive)?;
    let Some(Frame::Manifest(manifest)) = reader.next()? else {
        return Err(bad("it does not begin with a manifest"));
    };
    let Some(Frame::Catalog(catalog_entry)) = reader.next()? else {
        return Err(bad("its second frame is not a definition"));
    };
    let collection = CollectionStore::open(database.clone(), Entry { number, definition })?;
    let restore = PendingRestore {
        collection,
        adopted: false,
    };
    let current = manifest.format == clipdb_migrations::FORMAT_VERSION;
    // Values of an older format are migrated in a scratch database.
    let scratch = (!current)
        .then(|| Scratch::new(database, &manifest, &catalog_entry))
        .transpose()?;
    let target = scratch.as_ref().map_or_else(
        || database.tree(layout::tree_name(number)),
        |scratch| Ok(scratch.tree()),
    )?;
    let mut tree_writer = TreeWriter {
        database,
        tree: target,
        durable: current,
        batch: Batch::default(),
        bytes: 0,
        documents: 0,
        manifest: &manifest,
        progress,
    };
    let mut images = ImageWriter {
        database,
        collection: &restore.collection,
        waiting: Vec::new(),
        bytes: 0,
    };
    while let Some(frame) = reader.next()? {
        match frame {
            Frame::Manifest(_) | Frame::Catalog(_) => return Err(bad("it has two manifests")),
            Frame::Counters(entry) => tree_writer.counters(entry)?,
            Frame::Document(entries) => tree_writer.document(entries)?,
            Frame::Image(hash, bytes) => images.add(hash, bytes.into())?,
        }
    }
    images.flush()?;
    tree_writer.finish()?;
    if let Some(scratch) = scratch {
        scratch
            .migrate_into(database, number)
            .map_err(invalid_archive)?;
    }
    let collection = &restore.collection;
    collection.refresh().map_err(invalid_archive)?;
    verify::collection(collection, &manifest).map_err(invalid_archive)?;
    database.sync_filesystem()?;
    Ok(restore)
}

struct TreeWriter<'a> {
    database: &'a Database,
    tree: Tree,
    /// Whether the tree is that of the collection, not of a scratch database.
    durable: bool,
    batch: Batch,
    bytes: usize,
    documents: u64,
    manifest: &'a Manifest,
    progress: &'a dyn Progress,
}

impl TreeWriter<'_> {
    fn document(&mut self, entries: Vec<RawEntry>) -> Result<(), StorageError> {
        self.documents += 1;
        if !self
            .progress
            .reached(self.documents - 1, self.manifest.documents)
        {
            return Err(cancelled());
        }
        // Values of an older format are verified after the migration.
        if self.durable {
            verify::document(&entries)?;
        }
        self.add(entries)
    }

    fn counters(&mut self, entry: RawEntry) -> Result<(), StorageError> {
        if self.durable {
            verify::counters(&entry)?;
        }
        self.add(vec![entry])
    }

    fn add(&mut self, entries: Vec<RawEntry>) -> Result<(), StorageError> {
        for (key, value) in entries {
            self.bytes += key.len() + value.len();
            self.batch.insert(key, value);
        }
        if self.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        let batch = std::mem::take(&mut self.batch);
        self.database.check_space(self.bytes as u64)?;
        self.bytes = 0;
        if self.durable {
            self.database.apply(&self.tree, batch)
        } else {
            self.tree
                .apply_batch(batch)
                .map_err(StorageError::sled("write a scratch database"))
        }
    }

    fn finish(&mut self) -> Result<(), StorageError> {
        self.flush()?;
        if self.documents != self.manifest.documents {
            return Err(bad(format!(
                "it has {} documents and its manifest lists {}",
                self.documents, self.manifest.documents
            )));
        }
        Ok(())
    }
}

/// Writes images in batches, since each batch costs two syncs.
struct ImageWriter<'a> {
    database: &'a Database,
    collection: &'a CollectionStore,
    waiting: Vec<(BlobHash, Bytes)>,
    bytes: usize,
}

impl ImageWriter<'_> {
    fn add(&mut self, hash: BlobHash, bytes: Bytes) -> Result<(), StorageError> {
        if BlobHash::of(&bytes) != hash {
            return Err(bad(format!(
                "the content of its image {hash} has another hash"
            )));
        }
        self.bytes += bytes.len();
        self.waiting.push((hash, bytes));
        if self.bytes >= IMAGE_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.database.check_space(self.bytes as u64)?;
        self.collection.put_images(&self.waiting)?;
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }
}
