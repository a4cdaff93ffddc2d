//! The collection behind a name: an intact one, or a damaged one, which is neither read nor written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::catalog::Entry;
use crate::database::Database;
use crate::images::ImageFolder;
use crate::{CollectionDefinition, CollectionName, CollectionStore, StorageError};

/// An open collection, or one that is offline.
#[derive(Clone)]
pub(crate) enum CollectionHandle {
    Intact(CollectionStore),
    Damaged(DamagedCollection),
}

/// A collection whose data is corrupt or lacks acknowledged writes. Its files stay unchanged until it
/// is repaired, replaced by a restore, or dropped.
#[derive(Clone)]
pub struct DamagedCollection {
    entry: Arc<Entry>,
    reason: String,
    dir: PathBuf,
}

/// Opens all collections, and removes the leftovers of a crash from those that are intact. Fails if
/// the corruption may concern any collection.
pub(crate) fn open_all(
    database: &Arc<Database>,
    entries: Vec<Entry>,
) -> Result<BTreeMap<CollectionName, CollectionHandle>, StorageError> {
    let numbers: BTreeSet<u64> = entries.iter().map(|entry| entry.number).collect();
    let missing = database.durable_sequences.missing(&numbers);
    if !missing.is_empty() {
        return Err(StorageError::LostWrites {
            dir: database.dir().into(),
            lost: missing.join(", "),
        });
    }
    let mut all = BTreeMap::new();
    for entry in entries {
        let handle = match open_intact(database, &entry) {
            Ok(collection) => CollectionHandle::Intact(collection),
            Err(StorageError::Damaged { what, reason }) => {
                CollectionHandle::Damaged(DamagedCollection {
                    entry: Arc::new(entry.clone()),
                    reason: format!("{what}: {reason}"),
                    dir: database.dir().into(),
                })
            }
            Err(error) => return Err(error),
        };
        all.insert(entry.definition.name, handle);
    }
    Ok(all)
}

fn open_intact(database: &Arc<Database>, entry: &Entry) -> Result<CollectionStore, StorageError> {
    let collection = CollectionStore::open(database.clone(), entry.clone())?;
    let (number, sequence) = (collection.number(), collection.sequence());
    // Before anything is removed: a lost write may reference it.
    if let Some(loss) = database.durable_sequences.loss(number, sequence) {
        return Err(StorageError::Damaged {
            what: "acknowledged writes are lost".into(),
            reason: loss,
        });
    }
    let removed = collection.sweep()?;
    if removed > 0 {
        let name = &entry.definition.name;
        tracing::info!(%name, removed, "removed image files that a crash has left");
    }
    database.durable_sequences.record_commit(number, sequence);
    Ok(collection)
}

impl CollectionHandle {
    pub(crate) fn number(&self) -> u64 {
        match self {
            CollectionHandle::Intact(collection) => collection.number(),
            CollectionHandle::Damaged(damaged) => damaged.number(),
        }
    }

    pub(crate) fn definition(&self) -> &CollectionDefinition {
        match self {
            CollectionHandle::Intact(collection) => collection.definition(),
            CollectionHandle::Damaged(damaged) => damaged.definition(),
        }
    }

    /// The collection; an error if it is damaged.
    pub(crate) fn intact(&self) -> Result<&CollectionStore, StorageError> {
        match self {
            CollectionHandle::Intact(collection) => Ok(collection),
            CollectionHandle::Damaged(damaged) => Err(damaged.error()),
        }
    }

    /// The same collection as a damaged one.
    pub(crate) fn to_damaged(&self, database: &Database, reason: String) -> DamagedCollection {
        match self {
            CollectionHandle::Damaged(damaged) => damaged.clone(),
            CollectionHandle::Intact(collection) => DamagedCollection {
                entry: Arc::new(Entry {
                    number: collection.number(),
                    definition: collection.definition().clone(),
                }),
                reason,
                dir: database.dir().into(),
            },
        }
    }

    /// Removes the tree and the images once they are not in use.
    pub(crate) fn drop_files(&self, database: &Database) -> Result<(), StorageError> {
        match self {
            CollectionHandle::Intact(collection) => collection.drop_files(),
            CollectionHandle::Damaged(damaged) => {
                database.drop_tree(damaged.number())?;
                ImageFolder::open(&database.dir().join("images"), damaged.number())?.remove_all()
            }
        }
    }
}

impl DamagedCollection {
    /// The definition with which the collection was created.
    pub fn definition(&self) -> &CollectionDefinition {
        &self.entry.definition
    }

    /// The number of the collection, which is unique in the data folder forever.
    pub fn number(&self) -> u64 {
        self.entry.number
    }

    /// The corruption that was found.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The error of every call on it.
    pub fn error(&self) -> StorageError {
        StorageError::DamagedCollection {
            name: self.entry.definition.name.clone(),
            reason: self.reason.clone(),
            dir: self.dir.clone(),
        }
    }
}
