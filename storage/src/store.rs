//! The data folder: its start, its collections.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::catalog::{Catalog, Entry};
use crate::database::Database;
use crate::snapshot::{self, Incoming, Progress, Shelf};
use crate::{CollectionDefinition, CollectionName, CollectionStore, StorageError, images};

/// One data folder. Clones share it; the folder is unlocked when the last of them and of the
/// [`CollectionStore`]s is gone.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    database: Arc<Database>,
    collections: RwLock<BTreeMap<CollectionName, CollectionStore>>,
    /// Locked by whoever adds or removes a collection.
    catalog: Mutex<Catalog>,
    shelf: Shelf,
}

#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Memory for sled's cache of tree pages, in bytes.
    pub cache_bytes: u64,
    /// Writes are refused while the disk has less left than this, in bytes.
    pub reserve_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions {
            cache_bytes: 128 << 20,
            reserve_bytes: 64 << 20,
        }
    }
}

/// What creating a collection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    Created,
    AlreadySame,
}

impl Store {
    /// Opens `dir`, making it if it is missing: takes its lock, brings its format up to date, and
    /// removes what an earlier crash left without an owner.
    pub fn open(dir: &Path, options: &StoreOptions) -> Result<Store, StorageError> {
        fs::create_dir_all(dir).map_err(StorageError::io("create", dir))?;
        let database = Arc::new(Database::open(dir, options)?);
        let catalog = Catalog::open(&database)?;
        let mut collections = BTreeMap::new();
        let mut numbers = BTreeSet::new();
        for entry in catalog.entries()? {
            numbers.insert(entry.number);
            let collection = CollectionStore::open(database.clone(), entry)?;
            collections.insert(collection.definition().name.clone(), collection);
        }
        check_witness(&database, &numbers, collections.values())?;
        remove_orphans(&database, &numbers, collections.values())?;
        database.sync_filesystem()?;
        Ok(Store(Arc::new(Shared {
            database,
            collections: RwLock::new(collections),
            catalog: Mutex::new(catalog),
            shelf: Shelf::open(dir)?,
        })))
    }

    /// All definitions, by name.
    pub fn collections(&self) -> Vec<CollectionDefinition> {
        let collections = self.0.collections.read();
        let definitions = collections.values().map(CollectionStore::definition);
        definitions.cloned().collect()
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
            return if there.definition().same_as(&definition) {
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
        self.0.collections.write().insert(name, collection);
        Ok(Creation::Created)
    }

    /// Drops the collection with its images; durable when it returns. Handles that others still
    /// hold answer [`StorageError::UnknownCollection`] from then on.
    pub fn drop_collection(&self, name: &CollectionName) -> Result<(), StorageError> {
        let catalog = self.0.catalog.lock();
        let collection = self.collection(name)?;
        let witness = &self.0.database.witness;
        witness.dropping(collection.number());
        catalog.remove(&self.0.database, name)?;
        witness.dropped(collection.number());
        self.0.collections.write().remove(name);
        collection.drop_files()
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
        self.0.collections.write().insert(name, collection.clone());
        if let Some(replaced) = replaced {
            witness.dropped(replaced.number());
            if let Err(error) = replaced.drop_files() {
                tracing::warn!(%error, "what a restore replaced is removed at the next start");
            }
        }
        Ok(collection)
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
        self.0
            .collections
            .read()
            .get(name)
            .cloned()
            .ok_or_else(|| StorageError::UnknownCollection { name: name.clone() })
    }
}

/// Compares what is there with what was witnessed, before anything is removed; then what is there
/// is witnessed.
fn check_witness<'a>(
    database: &Database,
    numbers: &BTreeSet<u64>,
    collections: impl Iterator<Item = &'a CollectionStore>,
) -> Result<(), StorageError> {
    let sequences: Vec<_> = collections
        .map(|collection| {
            let name = collection.definition().name.clone();
            (collection.number(), name, collection.sequence())
        })
        .collect();
    let lost = database.witness.losses(numbers, &sequences);
    if lost.is_empty() {
        for (number, _, sequence) in sequences {
            database.witness.committed(number, sequence);
        }
        return Ok(());
    }
    Err(StorageError::LostWrites {
        dir: database.dir().into(),
        lost: lost.join(", "),
    })
}

fn remove_orphans<'a>(
    database: &Database,
    numbers: &BTreeSet<u64>,
    collections: impl Iterator<Item = &'a CollectionStore>,
) -> Result<(), StorageError> {
    for number in database.tree_numbers() {
        if !numbers.contains(&number) {
            database.drop_tree(number)?;
        }
    }
    images::remove_unknown(&database.dir().join("images"), numbers)?;
    for collection in collections {
        let removed = collection.sweep()?;
        if removed > 0 {
            let name = &collection.definition().name;
            tracing::info!(%name, removed, "removed image files that a crash had left");
        }
    }
    Ok(())
}
