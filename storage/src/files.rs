//! The tree and the image files of one collection, and reads of single values. Knows neither commits
//! nor snapshots, which both build on it.

use std::sync::Arc;

use bytes::Bytes;

use crate::database::Database;
use crate::images::ImageFolder;
use crate::retry::retry_corruption;
use crate::tree::Tree;
use crate::{
    BlobHash, CollectionDefinition, Document, DocumentId, DocumentKey, StorageError, frame, layout,
    record,
};

/// The stored data of a collection.
pub(crate) struct Files {
    pub number: u64,
    pub definition: CollectionDefinition,
    pub database: Arc<Database>,
    pub tree: Tree,
    pub images: ImageFolder,
}

impl Files {
    pub(crate) fn current_key(&self, id: &DocumentId) -> Result<Option<DocumentKey>, StorageError> {
        let id_key = layout::id(id);
        retry_corruption(|| self.tree.get(&id_key))
            .map_err(StorageError::sled("look up a document"))?
            .map(|value| decode_key(&id_key, &value))
            .transpose()
    }

    /// The bytes of the image, verified against their hash.
    pub(crate) fn image(&self, hash: &BlobHash) -> Result<Bytes, StorageError> {
        self.images
            .read(hash)?
            .ok_or_else(|| StorageError::DamagedImage {
                hash: *hash,
                path: self.images.path(hash),
                reason: "there is no such file".into(),
            })
    }

    pub(crate) fn is_referenced(&self, hash: &BlobHash) -> Result<bool, StorageError> {
        match self.tree.scan_prefix(layout::references_to(hash)).next() {
            None => Ok(false),
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) => Err(StorageError::sled("look up the documents of an image")(
                error,
            )),
        }
    }

    /// The record of version `key`, which must be the current version of the document.
    pub(crate) fn record(
        &self,
        id: &DocumentId,
        key: DocumentKey,
    ) -> Result<Document, StorageError> {
        record::read(&self.tree, key)?.ok_or_else(|| StorageError::Damaged {
            what: format!("the document {id}"),
            reason: format!("the record of its version {key} is missing"),
        })
    }

    /// The current version of the document, which may be replaced while it is read.
    pub(crate) fn document(&self, id: &DocumentId) -> Result<Option<Document>, StorageError> {
        let mut current = self.current_key(id)?;
        while let Some(key) = current {
            let read = self.record(id, key);
            // If the version was replaced during the read, the new one is read.
            current = self.current_key(id)?;
            if current == Some(key) {
                return read.map(Some);
            }
        }
        Ok(None)
    }
}

/// The value of the entry of an id.
pub(crate) fn encode_key(id_key: &[u8], key: DocumentKey) -> Vec<u8> {
    frame::seal(id_key, &key.get().to_be_bytes())
}

pub(crate) fn decode_key(id_key: &[u8], value: &[u8]) -> Result<DocumentKey, StorageError> {
    let what = || {
        format!(
            "the entry of the document {:?}",
            String::from_utf8_lossy(id_key)
        )
    };
    let payload = frame::open(id_key, value, what)?;
    match payload.try_into() {
        Ok(bytes) => Ok(DocumentKey::new(u64::from_be_bytes(bytes))),
        Err(_) => Err(StorageError::Damaged {
            what: what(),
            reason: "it is not a key".into(),
        }),
    }
}
