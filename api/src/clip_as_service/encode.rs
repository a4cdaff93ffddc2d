//! `/encode`, and the embedding step of the other calls.

use clipdb_engine::{Embedding, Encoded, Encoder, Priority, TextRole, blocking};
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use crate::clip_as_service::content::{input_of, is_image};
use crate::clip_as_service::executor::Executor;
use crate::clip_as_service::message::{Document, NdArray};
use crate::clip_as_service::parameters::Parameters;
use crate::clip_as_service::paths::Paths;
use crate::http::error::ApiError;

/// Documents with their embeddings.
pub(super) struct Embedded {
    pub documents: Vec<Document>,
    /// In the order in which [`Paths::visit`] visits the documents; `None` for an empty one.
    pub found: Vec<Option<Encoded>>,
}

impl Executor {
    /// Empty documents remain unchanged: `profile()` sends one.
    pub(super) async fn encode(
        &self,
        documents: Vec<Document>,
        parameters: &Parameters,
    ) -> Result<Vec<Document>, ApiError> {
        let encoder = self.engine.models().chosen(parameters.model.as_deref())?;
        let paths = &parameters.paths;
        let Embedded {
            mut documents,
            found,
        } = self
            .embed(encoder, documents, paths, TextRole::Other, Priority::Ingest)
            .await?;
        let mut found = found.into_iter();
        paths.visit(&mut documents, &mut |document| {
            if let Some(encoded) = found.next().flatten() {
                self.set_embedding(document, encoded.embedding, parameters);
            }
            Ok::<_, ApiError>(())
        })?;
        Ok(documents)
    }

    /// Sets the document's embedding, and removes the image if the parameters ask for it.
    pub(super) fn set_embedding(
        &self,
        document: &mut Document,
        embedding: Embedding,
        parameters: &Parameters,
    ) {
        let vector = if self.settings.normalise {
            embedding.into_vec()
        } else {
            embedding.into_unnormalised()
        };
        document.embedding = Some(NdArray::of_floats(&vector));
        if is_image(document) {
            if parameters.drop_image_content {
                document.content = None;
            }
        } else if document.mime_type.is_empty() && document.content.is_some() {
            // docarray's name, which a client reads as text/plain.
            document.mime_type = "text".to_owned();
        }
    }

    /// # Errors
    /// The first error of any document, with the document's id.
    pub(super) async fn embed(
        &self,
        encoder: &Encoder,
        mut documents: Vec<Document>,
        paths: &Paths,
        role: TextRole,
        priority: Priority,
    ) -> Result<Embedded, ApiError> {
        let paths = paths.clone();
        let (documents, inputs) = blocking(move || {
            let mut inputs = Vec::new();
            paths.visit(&mut documents, &mut |document| {
                let input = input_of(document).map_err(|error| error.in_document(&document.id))?;
                inputs.push((document.id.clone(), input));
                Ok::<_, ApiError>(())
            })?;
            Ok::<_, ApiError>((documents, inputs))
        })
        .await??;
        let engine = &self.engine;
        let found = iter(inputs)
            .map(|(id, input)| async move {
                let Some(input) = input else {
                    return Ok(None);
                };
                engine
                    .encode_one(encoder, input, role, priority)
                    .await
                    .map(Some)
                    .map_err(|error| ApiError::from(error).in_document(&id))
            })
            .buffered(encoder.places())
            .try_collect()
            .await?;
        Ok(Embedded { documents, found })
    }
}
