//! What a collection counts. Written in the same batch as the documents that it counts.

use serde::{Deserialize, Serialize};
use sled::Batch;

use crate::layout::COUNTERS;
use crate::tree::Tree;
use crate::{DocumentKey, StorageError, frame};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// Groups that changed the collection.
    pub sequence: u64,
    /// The key that the next stored version gets.
    pub next_key: u64,
    /// Documents in the collection.
    pub documents: u64,
}

impl Counters {
    /// The stored counters; zeros in a new collection.
    pub(crate) fn read(tree: &Tree) -> Result<Self, StorageError> {
        let stored = tree
            .get(COUNTERS)
            .map_err(StorageError::sled("read a collection's counters"))?;
        let Some(value) = stored else {
            return Ok(Counters::default());
        };
        let payload = frame::open(COUNTERS, &value, what)?;
        serde_json::from_slice(payload).map_err(damaged)
    }

    pub(crate) fn write(&self, batch: &mut Batch) -> Result<(), StorageError> {
        batch.insert(COUNTERS, self.encode()?);
        Ok(())
    }

    /// The value under [`COUNTERS`].
    pub(crate) fn encode(&self) -> Result<Vec<u8>, StorageError> {
        let payload = serde_json::to_vec(self).map_err(damaged)?;
        Ok(frame::seal(COUNTERS, &payload))
    }

    pub(crate) fn take_key(&mut self) -> DocumentKey {
        let key = DocumentKey::new(self.next_key);
        self.next_key += 1;
        key
    }
}

fn what() -> String {
    "a collection's counters".into()
}

fn damaged(error: serde_json::Error) -> StorageError {
    StorageError::Damaged {
        what: what(),
        reason: error.to_string(),
    }
}
