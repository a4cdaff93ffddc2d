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

/// A patch of a document.
#[derive(Debug)]
pub struct Patch {
    /// The change of its text; a blank text removes it.
    pub text: FieldUpdate<String>,
    /// The change of its image.
    pub image: FieldUpdate<ImageSource>,
    /// A JSON Merge Patch (RFC 7396) of its metadata: null removes a field.
    pub metadata: Map<String, Value>,
}

impl Engine {
    /// The document `id`.
    ///
    /// # Errors
    /// [`EngineError::DocumentNotFound`], or storage failed.
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

    /// Up to `limit` documents in the order of their ids, starting after `after`.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn list(
        &self,
        collection: &Arc<Collection>,
        after: Option<DocumentId>,
        limit: usize,
    ) -> Result<Vec<Document>, EngineError> {
        let store = collection.store.clone();
        blocking(move || Ok(store.list(after.as_ref(), limit)?)).await?
    }

    /// Patches a document; only a new text or image is embedded.
    ///
    /// # Errors
    /// [`EngineError::DocumentNotFound`], [`EngineError::EmptyDocument`] if nothing would be left to
    /// find it by, [`EngineError::TypeConflict`], [`EngineError::TooManyFields`], or the text or image
    /// cannot be embedded.
    pub async fn patch(
        &self,
        collection: &Arc<Collection>,
        id: DocumentId,
        revision: Patch,
    ) -> Result<(), EngineError> {
        collection.fields().check(&revision.metadata)?;
        let encoder = || self.models.of(collection.definition());
        let text = match revision.text {
            FieldUpdate::Keep => FieldUpdate::Keep,
            FieldUpdate::Remove => FieldUpdate::Remove,
            FieldUpdate::Set(text) if text.trim().is_empty() => FieldUpdate::Remove,
            FieldUpdate::Set(text) => {
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
            FieldUpdate::Keep => FieldUpdate::Keep,
            FieldUpdate::Remove => FieldUpdate::Remove,
            FieldUpdate::Set(source) => {
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
        require_found(collection, id, collection.write(write).await?)
    }

    /// Deletes the document `id`.
    ///
    /// # Errors
    /// [`EngineError::DocumentNotFound`], or its group of writes failed.
    pub async fn delete(
        &self,
        collection: &Arc<Collection>,
        id: DocumentId,
    ) -> Result<(), EngineError> {
        let outcome = collection.write(Write::Delete(id.clone())).await?;
        require_found(collection, id, outcome)
    }

    /// The document's image and its original bytes, verified against their hash.
    ///
    /// # Errors
    /// [`EngineError::DocumentNotFound`], [`EngineError::NoImage`], or storage failed.
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
            // `None` if the document was deleted or got another image in the meantime.
            let bytes = store
                .read_image(&image.hash)?
                .ok_or(EngineError::NoImage(id))?;
            Ok((image, bytes))
        })
        .await?
    }

    /// The document's image, scaled to at most `width` pixels in width.
    ///
    /// # Errors
    /// Those of [`Engine::image`], or the image cannot be decoded.
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

fn require_found(
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
        // The committer turns this outcome into an error, so it does not get here.
        Outcome::Refused => Err(EngineError::Interrupted),
        Outcome::Created { .. } | Outcome::Updated { .. } | Outcome::Deleted { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests;
