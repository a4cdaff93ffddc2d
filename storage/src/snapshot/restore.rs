//! An archive becomes a collection under a new number that no name leads to, and only then, in
//! one batch, the name's. Until that batch nothing that was there has changed; a restore that
//! ends early, or a kill, leaves a tree without an entry, which the next start drops.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use sled::Batch;

use super::archive::{Frame, Reader, bad};
use super::scratch::Scratch;
use super::verify::{self, of_the_archive};
use super::{Manifest, Progress, RawEntry, cancelled};
use crate::catalog::Entry;
use crate::database::Database;
use crate::tree::Tree;
use crate::{BlobHash, CollectionDefinition, CollectionStore, StorageError, layout};

/// Bytes that one batch carries.
const BATCH_BYTES: usize = 2 << 20;
/// Bytes of images that are held before they are written.
const PICTURE_BYTES: usize = 16 << 20;

/// A restored collection that no name leads to yet; dropped, it leaves nothing behind.
pub struct Incoming {
    pub(crate) collection: CollectionStore,
    pub(crate) adopted: bool,
}

impl Incoming {
    /// Its documents, to be indexed before it takes its name.
    pub fn collection(&self) -> &CollectionStore {
        &self.collection
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.adopted
            && let Err(error) = self.collection.drop_files()
        {
            tracing::warn!(%error, "what a restore left is removed at the next start");
        }
    }
}

/// What an archive says of itself; the rest is not looked at.
pub fn read_manifest(archive: impl Read) -> Result<Manifest, StorageError> {
    let manifest = match Reader::new(archive)?.next()? {
        Some(Frame::Manifest(manifest)) => *manifest,
        _ => return Err(bad("it does not begin with a manifest")),
    };
    if manifest.format > clipdb_migrations::FORMAT_VERSION {
        return Err(bad(format!(
            "it has format {}, and this clipdb knows only formats up to {}; restore it with a newer clipdb",
            manifest.format,
            clipdb_migrations::FORMAT_VERSION
        )));
    }
    Ok(manifest)
}

/// Reads the archive into the tree `number`, for this definition.
pub(crate) fn read_into(
    database: &Arc<Database>,
    number: u64,
    definition: CollectionDefinition,
    archive: impl Read,
    progress: &dyn Progress,
) -> Result<Incoming, StorageError> {
    let mut reader = Reader::new(archive)?;
    let Some(Frame::Manifest(manifest)) = reader.next()? else {
        return Err(bad("it does not begin with a manifest"));
    };
    let Some(Frame::Catalog(catalog_entry)) = reader.next()? else {
        return Err(bad("its second frame is no definition"));
    };
    let collection = CollectionStore::open(database.clone(), Entry { number, definition })?;
    let incoming = Incoming {
        collection,
        adopted: false,
    };
    let current = manifest.format == clipdb_migrations::FORMAT_VERSION;
    // Values of an older format go through a database of their own, which is migrated.
    let scratch = (!current)
        .then(|| Scratch::new(database, &manifest, &catalog_entry))
        .transpose()?;
    let target = scratch
        .as_ref()
        .map_or_else(|| database.tree(layout::tree_name(number)), Scratch::tree)?;
    let mut filling = Filling {
        database,
        tree: target,
        durable: current,
        batch: Batch::default(),
        bytes: 0,
        documents: 0,
        manifest: &manifest,
        progress,
    };
    let mut images = Pictures {
        database,
        collection: &incoming.collection,
        waiting: Vec::new(),
        bytes: 0,
    };
    while let Some(frame) = reader.next()? {
        match frame {
            Frame::Manifest(_) | Frame::Catalog(_) => return Err(bad("it holds two manifests")),
            Frame::Counters(entry) => filling.counters(entry)?,
            Frame::Document(entries) => filling.document(entries)?,
            Frame::Image(hash, bytes) => images.add(hash, bytes.into())?,
        }
    }
    images.flush()?;
    filling.finish()?;
    if let Some(scratch) = scratch {
        scratch
            .migrate_into(database, number)
            .map_err(of_the_archive)?;
    }
    let collection = &incoming.collection;
    collection.refresh().map_err(of_the_archive)?;
    verify::whole(collection, &manifest).map_err(of_the_archive)?;
    database.sync_filesystem()?;
    Ok(incoming)
}

struct Filling<'a> {
    database: &'a Database,
    tree: Tree,
    /// Whether the tree is that of the collection, not a passing one.
    durable: bool,
    batch: Batch,
    bytes: usize,
    documents: u64,
    manifest: &'a Manifest,
    progress: &'a dyn Progress,
}

impl Filling<'_> {
    fn document(&mut self, entries: Vec<RawEntry>) -> Result<(), StorageError> {
        self.documents += 1;
        if !self
            .progress
            .reached(self.documents - 1, self.manifest.documents)
        {
            return Err(cancelled());
        }
        // Older formats are checked once they are of this one.
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
        self.database.check_room(self.bytes as u64)?;
        self.bytes = 0;
        if self.durable {
            self.database.apply(&self.tree, batch)
        } else {
            self.tree
                .apply_batch(batch)
                .map_err(StorageError::sled("write a passing copy"))
        }
    }

    fn finish(&mut self) -> Result<(), StorageError> {
        self.flush()?;
        if self.documents != self.manifest.documents {
            return Err(bad(format!(
                "it holds {} documents where its manifest tells of {}",
                self.documents, self.manifest.documents
            )));
        }
        Ok(())
    }
}

/// Images on their way to their files, some at a time: each time costs two syncs.
struct Pictures<'a> {
    database: &'a Database,
    collection: &'a CollectionStore,
    waiting: Vec<(BlobHash, Bytes)>,
    bytes: usize,
}

impl Pictures<'_> {
    fn add(&mut self, hash: BlobHash, bytes: Bytes) -> Result<(), StorageError> {
        if BlobHash::of(&bytes) != hash {
            return Err(bad(format!(
                "the bytes of its image {hash} do not have that hash"
            )));
        }
        self.bytes += bytes.len();
        self.waiting.push((hash, bytes));
        if self.bytes >= PICTURE_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.database.check_room(self.bytes as u64)?;
        self.collection.put_images(&self.waiting)?;
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }
}
