//! The data folder: its start, its collections.

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
use crate::held::{self, DamagedCollection, Held};
use crate::private;
use crate::snapshot::{self, Incoming, Progress, Shelf};
use crate::{
    CollectionDefinition, CollectionName, CollectionStore, Stopped, StorageError, StoreOptions,
    heal, images,
};

/// One data folder. Clones share it; the folder is unlocked when the last of them and of the
/// [`CollectionStore`]s is gone.
#[derive(Clone)]
pub struct Store(Arc<Folder>);

/// What creating a collection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    Created,
    AlreadySame,
}

impl Store {
    /// Opens `dir`, making it if it is missing: takes its lock, brings its format up to date, and
    /// removes what an earlier crash left without an owner. A collection that is damaged is there,
    /// and each call on it fails with [`StorageError::DamagedCollection`].
    pub fn open(dir: &Path, options: &StoreOptions) -> Result<Store, StorageError> {
        private::create(dir)?;
        let database = Arc::new(Database::open(dir, options)?);
        let catalog = Catalog::open(&database)?;
        let collections = held::open(&database, catalog.entries()?)?;
        remove_orphans(&database, &collections)?;
        database.sync_filesystem()?;
        private::tighten(dir);
        let store = Arc::new(Folder {
            database,
            collections: RwLock::new(collections),
            catalog: Mutex::new(catalog),
            shelf: Shelf::open(dir)?,
        });
        heal::watch(&store)?;
        Ok(Store(store))
    }

    /// Why nothing is written, while that is so.
    pub fn stopped(&self) -> Option<Stopped> {
        self.0.database.stopped()
    }

    /// The definitions of those that are whole, by name.
    pub fn collections(&self) -> Vec<CollectionDefinition> {
        let collections = self.0.collections.read();
        let whole = collections.values().filter_map(|held| held.whole().ok());
        whole.map(|whole| whole.definition().clone()).collect()
    }

    /// Those that are not, by name.
    pub fn damaged(&self) -> Vec<DamagedCollection> {
        let collections = self.0.collections.read();
        let damaged = collections.values().filter_map(|held| match held {
            Held::Damaged(damaged) => Some(damaged.clone()),
            Held::Whole(_) => None,
        });
        damaged.collect()
    }

    /// From here on the collection is damaged: a reader that goes through all of it has found out.
    pub fn set_damaged(&self, name: &CollectionName, reason: String) {
        if let Some(held) = self.0.collections.write().get_mut(name) {
            *held = Held::Damaged(held.damaged(&self.0.database, reason));
        }
    }

    /// Durable when it returns.
    pub fn create_collection(
        &self,
        definition: CollectionDefinition,
    ) -> Result<Creation, StorageError> {
        definition.check()?;
        let catalog = self.0.catalog.lock();
        let name = definition.name.clone();
        if let Some(there) = self.0.collections.read().get(&name) {
            return if there.whole()?.definition().same_as(&definition) {
                Ok(Creation::AlreadySame)
            } else {
                Err(StorageError::Conflict { name })
            };
        }
        self.0.database.check_room(0)?;
        let entry = catalog.add(&self.0.database, definition)?;
        self.0.database.witness.committed(entry.number, 0);
        let collection = CollectionStore::open(self.0.database.clone(), entry)?;
        self.0.database.sync_filesystem()?;
        self.0
            .collections
            .write()
            .insert(name, Held::Whole(collection));
        Ok(Creation::Created)
    }

    /// Drops the collection, whole or damaged, with its images; durable when it returns. Handles that others still
    /// hold answer [`StorageError::UnknownCollection`] from then on.
    pub fn drop_collection(&self, name: &CollectionName) -> Result<(), StorageError> {
        let catalog = self.0.catalog.lock();
        let held = self.held(name)?;
        let database = &self.0.database;
        database.witness.dropping(held.number());
        catalog.remove(database, name)?;
        database.witness.dropped(held.number());
        self.0.collections.write().remove(name);
        self.remove_files(&held);
        Ok(())
    }

    pub fn shelf(&self) -> &Shelf {
        &self.0.shelf
    }

    /// Reads an archive into a collection that takes the name of `definition` only when it is
    /// [adopted](Self::adopt). Where the name is taken, the definitions have to be the same.
    pub fn restore(
        &self,
        archive: impl Read,
        definition: CollectionDefinition,
        progress: &dyn Progress,
    ) -> Result<Incoming, StorageError> {
        definition.check()?;
        let database = &self.0.database;
        let number = {
            let catalog = self.0.catalog.lock();
            self.check_replaceable(&definition)?;
            database.check_room(0)?;
            catalog.take_number(database)?
        };
        snapshot::read_into(database, number, definition, archive, progress)
    }

    /// Leads the name to the restored collection, in one batch, and drops what it led to before;
    /// durable when it returns.
    pub fn adopt(&self, mut incoming: Incoming) -> Result<CollectionStore, StorageError> {
        let catalog = self.0.catalog.lock();
        let collection = incoming.collection().clone();
        let definition = collection.definition().clone();
        self.check_replaceable(&definition)?;
        let (name, number) = (definition.name.clone(), collection.number());
        let replaced = self.0.collections.read().get(&name).cloned();
        let witness = &self.0.database.witness;
        if let Some(replaced) = &replaced {
            witness.dropping(replaced.number());
        }
        catalog.put(&self.0.database, &Entry { number, definition })?;
        incoming.adopted = true;
        witness.committed(number, collection.sequence());
        self.0
            .collections
            .write()
            .insert(name, Held::Whole(collection.clone()));
        if let Some(replaced) = replaced {
            witness.dropped(replaced.number());
            self.remove_files(&replaced);
        }
        Ok(collection)
    }

    /// Makes the next commit of any collection that reaches `step` fail there, once, with an I/O
    /// error of this kind. What a failure at each step leaves is described at [`CommitStep`]. Adding,
    /// replacing and dropping a collection passes through all steps but the first.
    #[cfg(feature = "fault-injection")]
    pub fn inject_fault(&self, step: CommitStep, kind: std::io::ErrorKind) {
        self.0.database.faults.inject(step, kind);
    }

    fn check_replaceable(&self, definition: &CollectionDefinition) -> Result<(), StorageError> {
        match self.0.collections.read().get(&definition.name) {
            Some(there) if !there.definition().same_as(definition) => Err(StorageError::Conflict {
                name: definition.name.clone(),
            }),
            _ => Ok(()),
        }
    }

    pub fn collection(&self, name: &CollectionName) -> Result<CollectionStore, StorageError> {
        self.held(name)?.whole().cloned()
    }

    /// Of a collection that no name leads to any more; what stays has no owner.
    fn remove_files(&self, held: &Held) {
        if let Err(error) = held.drop_files(&self.0.database) {
            tracing::warn!(%error, "what was left of a collection is removed at the next start");
        }
    }

    fn held(&self, name: &CollectionName) -> Result<Held, StorageError> {
        self.0
            .collections
            .read()
            .get(name)
            .cloned()
            .ok_or_else(|| StorageError::UnknownCollection { name: name.clone() })
    }
}

/// Removes trees and pictures that no collection has.
fn remove_orphans(
    database: &Database,
    collections: &BTreeMap<CollectionName, Held>,
) -> Result<(), StorageError> {
    let numbers: BTreeSet<u64> = collections.values().map(Held::number).collect();
    for number in database.tree_numbers()? {
        if !numbers.contains(&number)
            && let Err(error) = database.drop_tree(number)
        {
            // What cannot be read cannot be removed either, and only takes room.
            tracing::warn!(number, %error, "what was left of a dropped collection stays");
        }
    }
    images::remove_unknown(&database.dir().join("images"), &numbers)
}
