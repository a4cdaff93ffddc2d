//! The list of collections: the tree `catalog`, which maps each name to a number and a definition, and
//! the empty key to the next number.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sled::Batch;

use crate::database::Database;
use crate::tree::{Instance, Tree};
use crate::{CollectionDefinition, CollectionName, StorageError, frame, layout};

/// No collection has an empty name.
const NEXT_NUMBER: &[u8] = b"";

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub number: u64,
    pub definition: CollectionDefinition,
}

pub(crate) struct Catalog(Tree);

impl Catalog {
    pub(crate) fn open(database: &Database) -> Result<Self, StorageError> {
        database.tree(layout::CATALOG).map(Catalog)
    }

    pub(crate) fn of(instance: &Arc<Instance>) -> Self {
        Catalog(instance.tree(layout::CATALOG))
    }

    pub(crate) fn entries(&self) -> Result<Vec<Entry>, StorageError> {
        let mut entries = Vec::new();
        for entry in self.0.iter() {
            let (key, value) = entry.map_err(StorageError::sled("read the catalog"))?;
            if key != NEXT_NUMBER {
                entries.push(decode(&key, &value)?);
            }
        }
        Ok(entries)
    }

    /// Adds a collection under a new number. Durable when it returns.
    pub(crate) fn add(
        &self,
        database: &Database,
        definition: CollectionDefinition,
    ) -> Result<Entry, StorageError> {
        let number = self.next_number()?;
        let entry = Entry { number, definition };
        let mut batch = Batch::default();
        batch.insert(NEXT_NUMBER, encode(NEXT_NUMBER, &(number + 1))?);
        insert(&mut batch, &entry)?;
        database.apply(&self.0, batch)?;
        Ok(entry)
    }

    /// A new number, for a tree that has no entry yet; such a tree is dropped at the next startup.
    /// Durable when it returns.
    pub(crate) fn take_number(&self, database: &Database) -> Result<u64, StorageError> {
        let number = self.next_number()?;
        let mut batch = Batch::default();
        batch.insert(NEXT_NUMBER, encode(NEXT_NUMBER, &(number + 1))?);
        database.apply(&self.0, batch)?;
        Ok(number)
    }

    /// Adds or replaces the entry of the name. Durable when it returns.
    pub(crate) fn put(&self, database: &Database, entry: &Entry) -> Result<(), StorageError> {
        let mut batch = Batch::default();
        insert(&mut batch, entry)?;
        database.apply(&self.0, batch)
    }

    fn next_number(&self) -> Result<u64, StorageError> {
        let next = self
            .0
            .get(NEXT_NUMBER)
            .map_err(StorageError::sled("read the catalog"))?;
        next.map_or(Ok(1), |value| decode(NEXT_NUMBER, &value))
    }

    /// Removes the entry of the name. Durable when it returns.
    pub(crate) fn remove(
        &self,
        database: &Database,
        name: &CollectionName,
    ) -> Result<(), StorageError> {
        let mut batch = Batch::default();
        batch.remove(name.as_str());
        database.apply(&self.0, batch)
    }
}

fn insert(batch: &mut Batch, entry: &Entry) -> Result<(), StorageError> {
    let (name, value) = encode_entry(entry)?;
    batch.insert(name, value);
    Ok(())
}

/// The key and the value of an entry.
pub(crate) fn encode_entry(entry: &Entry) -> Result<(Vec<u8>, Vec<u8>), StorageError> {
    let name = entry.definition.name.as_str().as_bytes();
    Ok((name.to_vec(), encode(name, entry)?))
}

fn encode(key: &[u8], value: &impl Serialize) -> Result<Vec<u8>, StorageError> {
    let json = serde_json::to_vec(value).map_err(|error| damaged(key, error))?;
    Ok(frame::seal(key, &json))
}

fn decode<T: for<'a> Deserialize<'a>>(key: &[u8], value: &[u8]) -> Result<T, StorageError> {
    let payload = frame::open(key, value, || what(key))?;
    serde_json::from_slice(payload).map_err(|error| damaged(key, error))
}

fn what(key: &[u8]) -> String {
    format!("the catalog's entry {:?}", String::from_utf8_lossy(key))
}

fn damaged(key: &[u8], error: serde_json::Error) -> StorageError {
    StorageError::Damaged {
        what: what(key),
        reason: error.to_string(),
    }
}
