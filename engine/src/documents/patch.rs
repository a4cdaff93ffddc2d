//! Reading, changing and deleting single documents.

use std::sync::Arc;

use bytes::Bytes;
use clipdb_embed::{Embedding, Thumbnail};
use clipdb_storage::{Document, DocumentId, FieldUpdate, NewText, Outcome, StoredImage, Write};
use serde_json::{Map, Value};

use crate::blocking::blocking;
use crate::collection::collection::Collection;
use crate::documents::ingest::embed_text;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::image_source::ImageSource;

/// A change of some parts of a document.
#[derive(Debug)]
pub struct Revision {
    pub text: Change<String>,
    pub image: Change<ImageSource>,
    /// Merged as RFC 7396 says: null removes.
    pub metadata: Map<String, Value>,
}

#[derive(Debug)]
pub enum Change<T> {
    Keep,
    Remove,
    To(T),
}

impl Engine {
    pub async fn document(
        &self,
        collection: &Arc<Collection>,
        id: DocumentId,
    ) -> Result<Document, EngineError> {
        let store = collection.store.clone();
        blocking(move || {
            store
                .get(&id)?
                .ok_or_else(|| EngineError::DocumentNotFound {
                    collection: store.definition().name.clone(),
                    id,
                })
        })
        .await?
    }

    /// Documents in the order of their ids, those after `after` first.
    pub async fn list(
        &self,
        collection: &Arc<Collection>,
        after: Option<DocumentId>,
        limit: usize,
    ) -> Result<Vec<Document>, EngineError> {
        let store = collection.store.clone();
        blocking(move || Ok(store.list(after.as_ref(), limit)?)).await?
    }

    /// Changes a document; only a new text or image is embedded.
    pub async fn revise(
        &self,
        collection: &Arc<Collection>,
        id: DocumentId,
        revision: Revision,
    ) -> Result<(), EngineError> {
        collection.fields().check(&revision.metadata)?;
        let encoder = || self.models.of(collection.definition());
        let text = match revision.text {
            Change::Keep => FieldUpdate::Keep,
            Change::Remove => FieldUpdate::Remove,
            Change::To(text) if text.trim().is_empty() => FieldUpdate::Remove,
            Change::To(text) => {
                self.check_text(&text)?;
                let read = embed_text(encoder()?, text.clone()).await?;
                FieldUpdate::Set(NewText {
                    text,
                    truncated: read.truncated,
                    passages: read.passages,
                    vectors: read
                        .embeddings
                        .into_iter()
                        .map(Embedding::into_vec)
                        .collect(),
                })
            }
        };
        let image = match revision.image {
            Change::Keep => FieldUpdate::Keep,
            Change::Remove => FieldUpdate::Remove,
            Change::To(source) => {
                let (embedding, image) = self.embed_image(encoder()?, source).await?;
                FieldUpdate::Set((image, embedding.into_vec()))
            }
        };
        let write = Write::Patch(clipdb_storage::Patch {
            id: id.clone(),
            text,
            image,
            metadata: revision.metadata,
        });
        self.require_found(collection, id, collection.write(write).await?)
    }

    pub async fn delete(
        &self,
        collection: &Arc<Collection>,
        id: DocumentId,
    ) -> Result<(), EngineError> {
        let outcome = collection.write(Write::Delete(id.clone())).await?;
        self.require_found(collection, id, outcome)
    }

    fn require_found(
        &self,
        collection: &Collection,
        id: DocumentId,
        outcome: Outcome,
    ) -> Result<(), EngineError> {
        match outcome {
            Outcome::NotFound => Err(EngineError::DocumentNotFound {
                collection: collection.definition().name.clone(),
                id,
            }),
            Outcome::NothingLeft => Err(EngineError::EmptyDocument),
            // The committer answers it with its reason.
            Outcome::Refused => Err(EngineError::Interrupted),
            Outcome::Created { .. } | Outcome::Updated { .. } | Outcome::Deleted { .. } => Ok(()),
        }
    }

    /// The original bytes of the document's image, verified against their hash.
    pub async fn image(
        &self,
        collection: &Arc<Collection>,
        id: DocumentId,
    ) -> Result<(StoredImage, Bytes), EngineError> {
        let image = self
            .document(collection, id.clone())
            .await?
            .image
            .ok_or_else(|| EngineError::NoImage(id.clone()))?;
        let store = collection.store.clone();
        blocking(move || {
            // None: the document was given another picture, or deleted, just now.
            let bytes = store
                .read_image(&image.hash)?
                .ok_or(EngineError::NoImage(id))?;
            Ok((image, bytes))
        })
        .await?
    }

    /// The image drawn at most `width` pixels wide.
    pub async fn thumbnail(
        &self,
        collection: &Arc<Collection>,
        id: DocumentId,
        width: u32,
    ) -> Result<Thumbnail, EngineError> {
        let (_, bytes) = self.image(collection, id).await?;
        Ok(self.thumbnails.draw(bytes, width).await?)
    }
}

#[cfg(test)]
mod tests;
