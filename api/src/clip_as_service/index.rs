//! `/index`: adds documents to a collection of the database; they are durable and searchable once
//! the response is sent.

use clipdb_engine::{
    Collection, CollectionSpec, Draft, EngineError, Incoming, Ingested, Input, blocking, excerpt,
};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::iter;
use serde_json::{Map, Value};

use crate::clip_as_service::content::input_of;
use crate::clip_as_service::executor::Executor;
use crate::clip_as_service::message::{Document, struct_to_json};
use crate::clip_as_service::parameters::Parameters;
use crate::http::error::ApiError;

/// The metadata field that stores a document's URI.
pub(super) const URI: &str = "uri";

impl Executor {
    /// Returns the documents, those under the paths with their embeddings. If a document can't be
    /// stored, the others are stored, and the error has the number of failures and the first one.
    pub(super) async fn index(
        &self,
        mut documents: Vec<Document>,
        parameters: &Parameters,
    ) -> Result<Vec<Document>, ApiError> {
        let collection = self.collection_to_fill(parameters).await?;
        Self::check_model(&collection, parameters)?;
        let paths = parameters.index_paths();
        let wanted = paths.clone();
        let (mut documents, drafts) = blocking(move || {
            let mut drafts = Vec::new();
            wanted.visit(&mut documents, &mut |document| {
                drafts.push(incoming(document));
                document.embedding = None;
                Ok::<_, ApiError>(())
            })?;
            Ok::<_, ApiError>((documents, drafts))
        })
        .await??;
        let answers: Vec<Ingested> = self
            .engine
            .ingest(&collection, iter(drafts))
            .collect()
            .await;
        let total = answers.len();
        let mut answers = answers.into_iter();
        let mut failures = Vec::new();
        paths.visit(&mut documents, &mut |document| {
            match answers.next().map(|answer| answer.outcome) {
                Some(Ok(stored)) => {
                    // A long text's first embedding is that of its beginning, as in CLIP-as-service.
                    if let Some((_, embedding)) = stored.embeddings.into_iter().next() {
                        self.set_embedding(document, embedding, parameters);
                    }
                }
                Some(Err(error)) => failures.push(ApiError::from(error).in_document(&document.id)),
                None => {}
            }
            Ok::<_, ApiError>(())
        })?;
        let failed = failures.len();
        match failures.into_iter().next() {
            None => Ok(documents),
            Some(first) => Err(ApiError::NotAllStored {
                failed,
                total,
                first: Box::new(first),
            }),
        }
    }

    /// The first document creates the collection of the settings, like REST's default collection.
    /// A collection that a parameter names has to exist: a typo must not create one.
    async fn collection_to_fill(
        &self,
        parameters: &Parameters,
    ) -> Result<Arc<Collection>, ApiError> {
        match self.collection(parameters) {
            Err(ApiError::Engine(EngineError::CollectionNotFound(name)))
                if name == self.settings.collection =>
            {
                let wanted = CollectionSpec {
                    model: parameters.model.clone(),
                    ..CollectionSpec::default()
                };
                Ok(self.engine.create_collection(name, wanted).await?.0)
            }
            found => found,
        }
    }

    pub(super) fn collection(&self, parameters: &Parameters) -> Result<Arc<Collection>, ApiError> {
        let name = parameters.collection.as_ref();
        let name = name.unwrap_or(&self.settings.collection);
        Ok(self.engine.collection(name)?)
    }

    /// A collection's model never changes, so a requested model has to be the same.
    pub(super) fn check_model(
        collection: &Collection,
        parameters: &Parameters,
    ) -> Result<(), ApiError> {
        let definition = collection.definition();
        match &parameters.model {
            Some(wanted) if *wanted != definition.model => Err(ApiError::InvalidField(format!(
                "the parameter 'model_name' is '{}', but collection '{}' has the model '{}'",
                excerpt(wanted),
                definition.name,
                definition.model
            ))),
            _ => Ok(()),
        }
    }
}

fn incoming(document: &Document) -> Incoming {
    Incoming {
        draft: draft(document).map_err(EngineError::from),
        id: Some(document.id.clone()),
        // The request has one for all its documents.
        share: None,
    }
}

/// Tags become metadata, and so does the URI of an image that was sent as bytes. Derived data and
/// the client's own (chunks, matches, scores) are not stored.
fn draft(document: &Document) -> Result<Draft, ApiError> {
    let (text, image) = match input_of(document)? {
        Some(Input::Text(text)) => (Some(text), None),
        Some(Input::Image(source)) => (None, Some(source)),
        None => return Err(EngineError::EmptyDocument.into()),
    };
    let mut metadata = document.tags.as_ref().map_or_else(Map::new, struct_to_json);
    if !document.uri.is_empty() && !document.uri.starts_with("data:") {
        metadata
            .entry(URI)
            .or_insert_with(|| Value::String(document.uri.clone()));
    }
    Ok(Draft {
        id: Some(document.id.parse()?),
        text,
        image,
        metadata,
        ..Draft::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clip_as_service::message::{Content, struct_from_json};
    use clipdb_engine::ImageSource;

    #[test]
    fn tags_and_the_uri_are_metadata() {
        let Value::Object(tags) = json!({ "year": 2024 }) else {
            unreachable!()
        };
        let mut document = Document {
            id: "a".to_owned(),
            content: Some(Content::Blob("bytes".into())),
            uri: "cats/1.png".to_owned(),
            tags: Some(struct_from_json(tags)),
            ..Document::default()
        };
        let stored = draft(&document).unwrap();
        assert_eq!(
            Value::Object(stored.metadata),
            json!({ "year": 2024, "uri": "cats/1.png" })
        );
        assert_eq!(stored.image.unwrap(), ImageSource::Bytes("bytes".into()));
        document.content = None;
        assert!(matches!(draft(&document), Err(ApiError::PathRefused(_))));
        document.uri.clear();
        assert!(matches!(
            draft(&document),
            Err(ApiError::Engine(EngineError::EmptyDocument))
        ));
    }
}
