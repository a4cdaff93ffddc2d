//! The counters of a collection, written in the same batch as its documents.

use serde::{Deserialize, Serialize};
use sled::Batch;

use crate::layout::COUNTERS;
use crate::tree::Tree;
use crate::{DocumentKey, StorageError, frame};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// Number of groups that have changed the collection.
    pub sequence: u64,
    /// The key of the next stored version.
    pub next_key: u64,
    /// Number of documents.
    pub documents: u64,
}

impl Counters {
    /// The stored counters; zeros for a new collection.
    pub(crate) fn read(tree: &Tree) -> Result<Self, StorageError> {
        let stored = tree
            .get(COUNTERS)
            .map_err(StorageError::sled("read a collection's counters"))?;
        let Some(value) = stored else {
            return Ok(Counters::default());
        };
        let payload = frame::open(COUNTERS, &value, what)?;
        serde_json::from_slice(payload).map_err(corrupt)
    }

    /// Adds the counters to the batch.
    pub(crate) fn write(&self, batch: &mut Batch) -> Result<(), StorageError> {
        batch.insert(COUNTERS, self.encode()?);
        Ok(())
    }

    /// The value under [`COUNTERS`].
    pub(crate) fn encode(&self) -> Result<Vec<u8>, StorageError> {
        let payload = serde_json::to_vec(self).map_err(corrupt)?;
        Ok(frame::seal(COUNTERS, &payload))
    }

    pub(crate) fn next_key(&mut self) -> DocumentKey {
        let key = DocumentKey::new(self.next_key);
        self.next_key += 1;
        key
    }
}

fn what() -> String {
    "a collection's counters".into()
}

fn corrupt(error: serde_json::Error) -> StorageError {
    StorageError::Damaged {
        what: what(),
        reason: error.to_string(),
    }
}
