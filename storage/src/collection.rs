//! The documents of one collection: reads, and the entry point of writes.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use sled::IVec;

use crate::counters::Counters;
use crate::database::Database;
use crate::files::{Files, decode_key};
use crate::images::ImageFolder;
use crate::retry::retry_corruption;
use crate::{
    BlobHash, CollectionDefinition, Committed, Document, DocumentId, DocumentKey, Guard,
    StorageError, Vector, Write, catalog, commit, layout, record,
};

/// One collection. Clones share it. Reads run concurrently with a commit and see each document either
/// before or after it.
#[derive(Clone)]
pub struct CollectionStore(Arc<Shared>);

struct Shared {
    files: Files,
    /// Read-locked while the tree or the images are used, write-locked while they are dropped.
    dropped: RwLock<bool>,
    /// Serialises commits: a group is planned against the state after the previous one.
    committing: Mutex<()>,
    counters: RwLock<Counters>,
    /// Is called with every version that a commit is about to remove.
    observer: Mutex<Option<Arc<dyn RemovalObserver>>>,
}

/// Needs the versions that commits remove, such as a snapshot in progress.
pub(crate) trait RemovalObserver: Send + Sync {
    /// Called after the commit has written its images and before it writes its batch: the versions
    /// can still be read.
    fn before_removal(&self, files: &Files, versions: &[DocumentKey]);
}

impl CollectionStore {
    pub(crate) fn open(
        database: Arc<Database>,
        entry: catalog::Entry,
    ) -> Result<Self, StorageError> {
        let tree = database.tree(layout::tree_name(entry.number))?;
        let images = ImageFolder::open(&database.dir().join("images"), entry.number)?;
        let counters = Counters::read(&tree)?;
        Ok(CollectionStore(Arc::new(Shared {
            files: Files {
                number: entry.number,
                definition: entry.definition,
                database,
                tree,
                images,
            },
            dropped: RwLock::new(false),
            committing: Mutex::new(()),
            counters: RwLock::new(counters),
            observer: Mutex::new(None),
        })))
    }

    /// The definition with which the collection was created.
    pub fn definition(&self) -> &CollectionDefinition {
        &self.0.files.definition
    }

    /// The number of the collection, which is unique in the data folder forever.
    pub fn number(&self) -> u64 {
        self.0.files.number
    }

    /// Whether the disk has space for `bytes` of derived files in addition to the reserve for writes.
    pub fn has_room_for(&self, bytes: u64) -> Result<bool, StorageError> {
        let database = &self.0.files.database;
        Ok(database.free_bytes()? > database.reserve_bytes().saturating_add(bytes))
    }

    /// The number of documents.
    pub fn len(&self) -> u64 {
        self.0.counters.read().documents
    }

    /// Whether there are no documents.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sequence number: the number of groups that have changed this collection.
    pub fn sequence(&self) -> u64 {
        self.0.counters.read().sequence
    }

    pub(crate) fn counters(&self) -> Counters {
        *self.0.counters.read()
    }

    /// The current version of the document.
    pub fn get(&self, id: &DocumentId) -> Result<Option<Document>, StorageError> {
        let _alive = self.alive()?;
        self.0.files.document(id)
    }

    /// The document version with this key; `None` unless it is a current one.
    pub fn get_by_key(&self, key: DocumentKey) -> Result<Option<Document>, StorageError> {
        let _alive = self.alive()?;
        record::read(&self.0.files.tree, key)
    }

    /// The vectors of the document version with this key; none unless it is a current one.
    pub fn vectors(&self, key: DocumentKey) -> Result<Vec<Vector>, StorageError> {
        let _alive = self.alive()?;
        record::read_vectors(&self.0.files.tree, key, self.definition().dim)
    }

    /// Up to `limit` documents in the byte order of their ids, starting after `after`. The last id is
    /// the cursor of the next page; it stays valid under writes, even if that document is deleted.
    pub fn list(
        &self,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<Document>, StorageError> {
        let _alive = self.alive()?;
        let files = &self.0.files;
        let after = after.map_or(layout::IDS.to_vec(), layout::id);
        let range = (
            Bound::Excluded(after),
            Bound::Excluded(layout::IDS_END.to_vec()),
        );
        let mut documents = Vec::with_capacity(limit.min(1024));
        for id_key in files.tree.range(range).keys() {
            if documents.len() == limit {
                break;
            }
            let id_key = id_key.map_err(StorageError::sled("list documents"))?;
            documents.extend(files.document(&layout::id_of(&id_key)?)?);
        }
        Ok(documents)
    }

    /// The keys of all current versions, in ascending order.
    pub fn live_keys(&self) -> Result<Vec<DocumentKey>, StorageError> {
        let _alive = self.alive()?;
        let ids = || self.0.files.tree.scan_prefix(layout::IDS);
        let decoded = |entry: sled::Result<(IVec, IVec)>| {
            entry.map(|(id_key, value)| decode_key(&id_key, &value))
        };
        let keys: Result<Vec<DocumentKey>, StorageError> =
            retry_corruption(|| ids().map(decoded).collect())
                .map_err(StorageError::sled("list documents"))?;
        let mut keys = keys?;
        keys.sort_unstable();
        Ok(keys)
    }

    /// The documents with a corrupt record or vector, in the order of their ids, each with a
    /// description. Reads all documents.
    pub fn unreadable(&self) -> Result<Vec<(DocumentId, String)>, StorageError> {
        let _alive = self.alive()?;
        let tree = &self.0.files.tree;
        let mut unreadable = Vec::new();
        for entry in tree.scan_prefix(layout::IDS) {
            let (id_key, value) = entry.map_err(StorageError::sled("list documents"))?;
            let key = decode_key(&id_key, &value)?;
            let read = record::read(tree, key)
                .and_then(|_| record::read_vectors(tree, key, self.definition().dim));
            match read {
                Ok(_) => {}
                Err(StorageError::Damaged { what, reason }) => {
                    unreadable.push((layout::id_of(&id_key)?, format!("{what}: {reason}")));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(unreadable)
    }

    /// The original bytes of an image, verified against their hash; `None` if no document references
    /// it.
    pub fn read_image(&self, hash: &BlobHash) -> Result<Option<Bytes>, StorageError> {
        let _alive = self.alive()?;
        let files = &self.0.files;
        match files.image(hash) {
            Err(StorageError::DamagedImage { .. }) if !files.is_referenced(hash)? => Ok(None),
            read => read.map(Some),
        }
    }

    /// Fails if `write` cannot be committed here. For validating a write before it joins a group.
    pub fn check(&self, write: &Write) -> Result<(), StorageError> {
        write.check(self.definition())
    }

    /// Applies the group atomically: after a crash either all or none of it is there. Durable when it
    /// returns. A write that [`check`](Self::check) rejects fails the group before anything changes.
    /// Concurrent calls are serialised.
    pub fn commit(&self, group: Vec<Write>) -> Result<Committed, StorageError> {
        self.commit_guarded(group, &mut |_, _| true)
    }

    /// Like [`commit`](Self::commit), without the writes that the guard rejects.
    pub fn commit_guarded(
        &self,
        group: Vec<Write>,
        guard: Guard<'_>,
    ) -> Result<Committed, StorageError> {
        let _alone = self.0.committing.lock();
        let _alive = self.alive()?;
        let before = *self.0.counters.read();
        let files = &self.0.files;
        let before_removal = |versions: &[DocumentKey]| {
            let observer = self.0.observer.lock().clone();
            if let Some(observer) = observer {
                observer.before_removal(files, versions);
            }
        };
        let (after, outcomes) = commit::commit(files, before, group, guard, before_removal)?;
        *self.0.counters.write() = after;
        files
            .database
            .durable_sequences
            .record_commit(files.number, after.sequence);
        Ok(Committed {
            sequence: after.sequence,
            outcomes,
        })
    }

    /// Registers the observer that `work` returns, between two commits: `work` sees the collection
    /// as the one left it, and the observer sees every removal of the next. Fails while another
    /// observer is registered.
    pub(crate) fn observe_removals<O: RemovalObserver + 'static, T>(
        &self,
        work: impl FnOnce(&Files, Counters) -> Result<(Arc<O>, T), StorageError>,
    ) -> Result<(Arc<O>, T), StorageError> {
        let _alone = self.0.committing.lock();
        let _alive = self.alive()?;
        let mut observer = self.0.observer.lock();
        if observer.is_some() {
            return Err(StorageError::SnapshotInProgress {
                name: self.definition().name.clone(),
            });
        }
        let counters = *self.0.counters.read();
        let (new, result) = work(&self.0.files, counters)?;
        *observer = Some(new.clone());
        Ok((new, result))
    }

    /// Removes the observer of removals.
    pub(crate) fn stop_observing(&self) {
        *self.0.observer.lock() = None;
    }

    /// Calls `work` while the collection cannot be dropped.
    pub(crate) fn while_alive<T>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let _alive = self.alive()?;
        work(&self.0.files)
    }

    /// Stores images of a restore, whose hashes the caller has verified.
    pub(crate) fn put_images(&self, images: &[(BlobHash, Bytes)]) -> Result<(), StorageError> {
        let images: Vec<_> = images.iter().map(|(hash, bytes)| (hash, bytes)).collect();
        self.0.files.images.write(&images)
    }

    /// Reads the counters again, after a restore or after the database was reopened.
    pub(crate) fn refresh(&self) -> Result<(), StorageError> {
        let _alone = self.0.committing.lock();
        *self.0.counters.write() = Counters::read(&self.0.files.tree)?;
        Ok(())
    }

    /// Removes the tree and the images once they are not in use. Every later call on this collection
    /// fails.
    pub(crate) fn drop_files(&self) -> Result<(), StorageError> {
        let mut dropped = self.0.dropped.write();
        *dropped = true;
        self.0.files.database.drop_tree(self.0.files.number)?;
        self.0.files.images.remove_all()
    }

    /// Removes image files that a crash has left without a document, and returns their number.
    pub(crate) fn sweep(&self) -> Result<u64, StorageError> {
        let files = &self.0.files;
        files.images.sweep(|first| {
            let references = files.tree.scan_prefix(layout::references_from(first));
            references
                .keys()
                .map(|key| {
                    let key = key.map_err(StorageError::sled("list image references"))?;
                    layout::reference_of(&key).map(|(hash, _)| hash)
                })
                .collect::<Result<BTreeSet<_>, _>>()
        })
    }

    fn alive(&self) -> Result<RwLockReadGuard<'_, bool>, StorageError> {
        let dropped = self.0.dropped.read();
        if *dropped {
            return Err(StorageError::UnknownCollection {
                name: self.definition().name.clone(),
            });
        }
        Ok(dropped)
    }
}
