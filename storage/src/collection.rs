//! One collection's documents.

use bytes::Bytes;

use crate::{
    BlobHash, CollectionDefinition, Committed, Document, DocumentId, DocumentKey, StorageError,
    Vector, Write,
};

/// One collection. Clones share it. Reads run beside a commit and see each document either before
/// or after it.
#[derive(Clone)]
pub struct CollectionStore;

impl CollectionStore {
    pub fn definition(&self) -> &CollectionDefinition {
        todo!()
    }

    /// The number of documents.
    pub fn len(&self) -> u64 {
        todo!()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of groups that have changed this collection.
    pub fn sequence(&self) -> u64 {
        todo!()
    }

    pub fn get(&self, _id: &DocumentId) -> Result<Option<Document>, StorageError> {
        todo!()
    }

    /// `None` when the key is not, or no longer, a live one.
    pub fn get_by_key(&self, _key: DocumentKey) -> Result<Option<Document>, StorageError> {
        todo!()
    }

    /// The vectors of a live key; none for any other.
    pub fn vectors(&self, _key: DocumentKey) -> Result<Vec<Vector>, StorageError> {
        todo!()
    }

    /// Up to `limit` documents in the order of their ids' bytes, after `after` if given. The last
    /// id is the cursor to go on from; it stays good under writes, also when that id is deleted.
    pub fn list(
        &self,
        _after: Option<&DocumentId>,
        _limit: usize,
    ) -> Result<Vec<Document>, StorageError> {
        todo!()
    }

    /// Every live key, ascending.
    pub fn live_keys(&self) -> Result<Vec<DocumentKey>, StorageError> {
        todo!()
    }

    /// An image's original bytes, checked against their hash; `None` when no document has it.
    pub fn read_image(&self, _hash: &BlobHash) -> Result<Option<Bytes>, StorageError> {
        todo!()
    }

    /// Whether `write` can be committed here, for judging it alone before it joins a group.
    pub fn check(&self, _write: &Write) -> Result<(), StorageError> {
        todo!()
    }

    /// Applies the group as one: after a crash either all of it is there or none. Durable when it
    /// returns. A write that [`check`](Self::check) refuses fails the group before anything
    /// changes. Callers are serialised.
    pub fn commit(&self, _group: Vec<Write>) -> Result<Committed, StorageError> {
        todo!()
    }
}
