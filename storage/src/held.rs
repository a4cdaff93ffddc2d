//! What a collection's name leads to: a whole collection, or one whose source of truth is
//! damaged, which is neither read nor written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::catalog::Entry;
use crate::database::Database;
use crate::images::ImageFolder;
use crate::{CollectionDefinition, CollectionName, CollectionStore, StorageError};

#[derive(Clone)]
pub(crate) enum Held {
    Whole(CollectionStore),
    Damaged(DamagedCollection),
}

/// A collection that holds something else than what was acknowledged. All of it stays as it is
/// until the collection is repaired, replaced by a restore, or dropped.
#[derive(Clone)]
pub struct DamagedCollection {
    entry: Arc<Entry>,
    reason: String,
    dir: PathBuf,
}

/// Opens all of them; removes what a crash left of those that are whole. Fails where the damage
/// may be any collection's.
pub(crate) fn open(
    database: &Arc<Database>,
    entries: Vec<Entry>,
) -> Result<BTreeMap<CollectionName, Held>, StorageError> {
    let numbers: BTreeSet<u64> = entries.iter().map(|entry| entry.number).collect();
    let gone = database.witness.gone(&numbers);
    if !gone.is_empty() {
        return Err(StorageError::LostWrites {
            dir: database.dir().into(),
            lost: gone.join(", "),
        });
    }
    let mut all = BTreeMap::new();
    for entry in entries {
        let held = match open_whole(database, &entry) {
            Ok(collection) => Held::Whole(collection),
            Err(StorageError::Damaged { what, reason }) => Held::Damaged(DamagedCollection {
                entry: Arc::new(entry.clone()),
                reason: format!("{what}: {reason}"),
                dir: database.dir().into(),
            }),
            Err(error) => return Err(error),
        };
        all.insert(entry.definition.name, held);
    }
    Ok(all)
}

fn open_whole(database: &Arc<Database>, entry: &Entry) -> Result<CollectionStore, StorageError> {
    let collection = CollectionStore::open(database.clone(), entry.clone())?;
    let (number, sequence) = (collection.number(), collection.sequence());
    // Before anything is removed: what is lost may be what refers to it.
    if let Some(loss) = database.witness.loss(number, sequence) {
        return Err(StorageError::Damaged {
            what: "acknowledged writes are lost".into(),
            reason: loss,
        });
    }
    let removed = collection.sweep()?;
    if removed > 0 {
        let name = &entry.definition.name;
        tracing::info!(%name, removed, "removed image files that a crash had left");
    }
    database.witness.committed(number, sequence);
    Ok(collection)
}

impl Held {
    pub(crate) fn number(&self) -> u64 {
        match self {
            Held::Whole(collection) => collection.number(),
            Held::Damaged(damaged) => damaged.number(),
        }
    }

    pub(crate) fn definition(&self) -> &CollectionDefinition {
        match self {
            Held::Whole(collection) => collection.definition(),
            Held::Damaged(damaged) => damaged.definition(),
        }
    }

    pub(crate) fn whole(&self) -> Result<&CollectionStore, StorageError> {
        match self {
            Held::Whole(collection) => Ok(collection),
            Held::Damaged(damaged) => Err(damaged.error()),
        }
    }

    /// What it is to those who found out that it is damaged.
    pub(crate) fn damaged(&self, database: &Database, reason: String) -> DamagedCollection {
        match self {
            Held::Damaged(damaged) => damaged.clone(),
            Held::Whole(collection) => DamagedCollection {
                entry: Arc::new(Entry {
                    number: collection.number(),
                    definition: collection.definition().clone(),
                }),
                reason,
                dir: database.dir().into(),
            },
        }
    }

    /// Removes the tree and the images, once nobody uses them.
    pub(crate) fn drop_files(&self, database: &Database) -> Result<(), StorageError> {
        match self {
            Held::Whole(collection) => collection.drop_files(),
            Held::Damaged(damaged) => {
                database.drop_tree(damaged.number())?;
                ImageFolder::open(&database.dir().join("images"), damaged.number())?.remove_all()
            }
        }
    }
}

impl DamagedCollection {
    pub fn definition(&self) -> &CollectionDefinition {
        &self.entry.definition
    }

    /// Its number, which no other collection of the folder ever had or will have.
    pub fn number(&self) -> u64 {
        self.entry.number
    }

    /// What of it is damaged, and how.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What every call on it is answered.
    pub fn error(&self) -> StorageError {
        StorageError::DamagedCollection {
            name: self.entry.definition.name.clone(),
            reason: self.reason.clone(),
            dir: self.dir.clone(),
        }
    }
}
