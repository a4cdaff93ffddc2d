//! The data folder: opening it, and its collections.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::catalog::{Catalog, Entry};
use crate::database::Database;
#[cfg(feature = "fault-injection")]
use crate::fault::CommitStep;
use crate::folder::Folder;
use crate::handle::{self, CollectionHandle, DamagedCollection};
use crate::permissions;
use crate::snapshot::{self, PendingRestore, Progress, SnapshotStore};
use crate::{
    CollectionDefinition, CollectionName, CollectionStore, Stopped, StorageError, StoreOptions,
    heal, images,
};

/// One data folder. Clones share it; the folder is unlocked when the last clone and the last
/// [`CollectionStore`] are dropped.
#[derive(Clone)]
pub struct Store(Arc<Folder>);

/// The result of creating a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// The collection was created.
    Created,
    /// It already exists with the same definition.
    AlreadySame,
}

impl Store {
    /// Opens `dir`, and creates it if it does not exist. Locks the folder, migrates its format, and
    /// removes leftovers of a crash. A damaged collection stays in the list, and each call on it
    /// fails with [`StorageError::DamagedCollection`].
    pub fn open(dir: &Path, options: &StoreOptions) -> Result<Store, StorageError> {
        permissions::create_private_folder(dir)?;
        let database = Arc::new(Database::open(dir, options)?);
        let catalog = Catalog::open(&database)?;
        let collections = handle::open_all(&database, catalog.entries()?)?;
        remove_orphans(&database, &collections)?;
        database.sync_filesystem()?;
        permissions::restrict_to_owner(dir);
        let store = Arc::new(Folder {
            database,
            collections: RwLock::new(collections),
            catalog: Mutex::new(catalog),
            snapshots: SnapshotStore::open(dir)?,
        });
        heal::spawn_watcher(&store)?;
        Ok(Store(store))
    }

    /// Why writes are stopped; `None` while they are accepted.
    pub fn stopped(&self) -> Option<Stopped> {
        self.0.database.stopped()
    }

    /// The definitions of the intact collections, in the order of names.
    pub fn collections(&self) -> Vec<CollectionDefinition> {
        let collections = self.0.collections.read();
        let intact = collections
            .values()
            .filter_map(|handle| handle.intact().ok());
        intact
            .map(|collection| collection.definition().clone())
            .collect()
    }

    /// The damaged collections, in the order of names.
    pub fn damaged(&self) -> Vec<DamagedCollection> {
        let collections = self.0.collections.read();
        let damaged = collections.values().filter_map(|handle| match handle {
            CollectionHandle::Damaged(damaged) => Some(damaged.clone()),
            CollectionHandle::Intact(_) => None,
        });
        damaged.collect()
    }

    /// Takes the collection offline: a caller that has read all of it has found corruption.
    pub fn set_damaged(&self, name: &CollectionName, reason: String) {
        if let Some(handle) = self.0.collections.write().get_mut(name) {
            let damaged = handle.to_damaged(&self.0.database, reason);
            *handle = CollectionHandle::Damaged(damaged);
        }
    }

    /// Creates a collection. Durable when it returns.
    pub fn create_collection(
        &self,
        definition: CollectionDefinition,
    ) -> Result<Creation, StorageError> {
        definition.check()?;
        let catalog = self.0.catalog.lock();
        let name = definition.name.clone();
        if let Some(existing) = self.0.collections.read().get(&name) {
            return if existing.intact()?.definition().same_as(&definition) {
                Ok(Creation::AlreadySame)
            } else {
                Err(StorageError::Conflict { name })
            };
        }
        self.0.database.check_space(0)?;
        let entry = catalog.add(&self.0.database, definition)?;
        self.0
            .database
            .durable_sequences
            .record_commit(entry.number, 0);
        let collection = CollectionStore::open(self.0.database.clone(), entry)?;
        self.0.database.sync_filesystem()?;
        self.0
            .collections
            .write()
            .insert(name, CollectionHandle::Intact(collection));
        Ok(Creation::Created)
    }

    /// Drops the collection, intact or damaged, with its images. Durable when it returns. Existing
    /// [`CollectionStore`]s of it return [`StorageError::UnknownCollection`] from then on.
    pub fn drop_collection(&self, name: &CollectionName) -> Result<(), StorageError> {
        let catalog = self.0.catalog.lock();
        let handle = self.handle(name)?;
        let database = &self.0.database;
        database.durable_sequences.record_dropping(handle.number());
        catalog.remove(database, name)?;
        database.durable_sequences.record_dropped(handle.number());
        self.0.collections.write().remove(name);
        self.remove_files(&handle);
        Ok(())
    }

    /// The snapshots of the data folder.
    pub fn snapshots(&self) -> &SnapshotStore {
        &self.0.snapshots
    }

    /// Reads an archive into a collection that takes the name of `definition` only when it is
    /// [adopted](Self::adopt). An existing collection of that name must have the same definition.
    pub fn restore(
        &self,
        archive: impl Read,
        definition: CollectionDefinition,
        progress: &dyn Progress,
    ) -> Result<PendingRestore, StorageError> {
        definition.check()?;
        let database = &self.0.database;
        let number = {
            let catalog = self.0.catalog.lock();
            self.check_replaceable(&definition)?;
            database.check_space(0)?;
            catalog.take_number(database)?
        };
        snapshot::read_into(database, number, definition, archive, progress)
    }

    /// Gives the restored collection its name, in one batch, and drops the previous collection of that
    /// name. Durable when it returns.
    pub fn adopt(&self, mut restore: PendingRestore) -> Result<CollectionStore, StorageError> {
        let catalog = self.0.catalog.lock();
        let collection = restore.collection().clone();
        let definition = collection.definition().clone();
        self.check_replaceable(&definition)?;
        let (name, number) = (definition.name.clone(), collection.number());
        let replaced = self.0.collections.read().get(&name).cloned();
        let durable = &self.0.database.durable_sequences;
        if let Some(replaced) = &replaced {
            durable.record_dropping(replaced.number());
        }
        catalog.put(&self.0.database, &Entry { number, definition })?;
        restore.adopted = true;
        durable.record_commit(number, collection.sequence());
        self.0
            .collections
            .write()
            .insert(name, CollectionHandle::Intact(collection.clone()));
        if let Some(replaced) = replaced {
            durable.record_dropped(replaced.number());
            self.remove_files(&replaced);
        }
        Ok(collection)
    }

    /// Makes the next commit of any collection that reaches `step` fail there, once, with an I/O
    /// error of this kind. [`CommitStep`] describes the state after each failure. Creating, replacing
    /// and dropping a collection pass through all steps except the first.
    #[cfg(feature = "fault-injection")]
    pub fn inject_fault(&self, step: CommitStep, kind: std::io::ErrorKind) {
        self.0.database.faults.inject(step, kind);
    }

    fn check_replaceable(&self, definition: &CollectionDefinition) -> Result<(), StorageError> {
        match self.0.collections.read().get(&definition.name) {
            Some(existing) if !existing.definition().same_as(definition) => {
                Err(StorageError::Conflict {
                    name: definition.name.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// The collection of this name.
    pub fn collection(&self, name: &CollectionName) -> Result<CollectionStore, StorageError> {
        self.handle(name)?.intact().cloned()
    }

    /// Removes the files of a collection without a name. Leftovers are removed at the next startup.
    fn remove_files(&self, handle: &CollectionHandle) {
        if let Err(error) = handle.drop_files(&self.0.database) {
            tracing::warn!(%error, "the files of a dropped collection will be removed at the next startup");
        }
    }

    fn handle(&self, name: &CollectionName) -> Result<CollectionHandle, StorageError> {
        self.0
            .collections
            .read()
            .get(name)
            .cloned()
            .ok_or_else(|| StorageError::UnknownCollection { name: name.clone() })
    }
}

/// Removes trees and images that belong to no collection.
fn remove_orphans(
    database: &Database,
    collections: &BTreeMap<CollectionName, CollectionHandle>,
) -> Result<(), StorageError> {
    let numbers: BTreeSet<u64> = collections.values().map(CollectionHandle::number).collect();
    for number in database.tree_numbers()? {
        if !numbers.contains(&number)
            && let Err(error) = database.drop_tree(number)
        {
            // A corrupt tree cannot be removed either, and only takes space.
            tracing::warn!(number, %error, "cannot remove the tree of a dropped collection");
        }
    }
    images::remove_unknown(&database.dir().join("images"), &numbers)
}
