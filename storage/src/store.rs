//! The data folder: its lock, its collections, its start.

use std::path::Path;

use crate::{CollectionDefinition, CollectionName, CollectionStore, StorageError};

/// One data folder. Clones share it; the folder is unlocked when the last one goes.
#[derive(Clone)]
pub struct Store;

#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Memory for sled's cache of tree pages, in bytes.
    pub cache_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions {
            cache_bytes: 128 << 20,
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
    /// Opens `dir`, making it if it is missing.
    pub fn open(_dir: &Path, _options: &StoreOptions) -> Result<Store, StorageError> {
        todo!()
    }

    /// All definitions, by name.
    pub fn collections(&self) -> Vec<CollectionDefinition> {
        todo!()
    }

    /// Durable when it returns.
    pub fn create_collection(
        &self,
        _definition: CollectionDefinition,
    ) -> Result<Creation, StorageError> {
        todo!()
    }

    /// Drops the collection with its images; durable when it returns. Handles that others still
    /// hold answer [`StorageError::UnknownCollection`] from then on.
    pub fn drop_collection(&self, _name: &CollectionName) -> Result<(), StorageError> {
        todo!()
    }

    pub fn collection(&self, _name: &CollectionName) -> Result<CollectionStore, StorageError> {
        todo!()
    }
}
