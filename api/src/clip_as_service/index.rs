//! `/index`: documents into a collection of the database, durable and searchable when
//! they are answered.

use clipdb_engine::{
    Collection, Draft, EngineError, Incoming, Ingested, Input, Wanted, blocking, quoted,
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

/// The field of a document's metadata that keeps the URI it came with.
pub(super) const URI: &str = "uri";

impl Executor {
    /// The documents, those under the paths with their embeddings. A document that can't be
    /// stored does not keep the others out, and then the answer says how many and why.
    pub(super) async fn index(
        &self,
        mut documents: Vec<Document>,
        parameters: &Parameters,
    ) -> Result<Vec<Document>, ApiError> {
        let collection = self.collection_to_fill(parameters).await?;
        self.check_model(&collection, parameters)?;
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
                    // Of a long text that of its beginning, which is what the original gives.
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

    /// The settings' collection is made by its first document, as REST's default one is;
    /// one that a parameter names has to be there, so that a slip makes none.
    async fn collection_to_fill(
        &self,
        parameters: &Parameters,
    ) -> Result<Arc<Collection>, ApiError> {
        match self.collection(parameters) {
            Err(ApiError::Engine(EngineError::CollectionNotFound(name)))
                if name == self.settings.collection =>
            {
                let wanted = Wanted {
                    model: parameters.model.clone(),
                    ..Wanted::default()
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

    /// A collection has its model for good; one that is asked for has to be that one.
    pub(super) fn check_model(
        &self,
        collection: &Collection,
        parameters: &Parameters,
    ) -> Result<(), ApiError> {
        let definition = collection.definition();
        match &parameters.model {
            Some(wanted) if *wanted != definition.model => Err(ApiError::InvalidField(format!(
                "the parameter 'model_name' is '{}'; collection '{}' has the model '{}'",
                quoted(wanted),
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
        // The whole request has one.
        share: None,
    }
}

/// Tags are metadata, and so is the URI of a picture that came with its bytes. What is
/// made anew or belongs to the client (chunks, matches, scores) is not kept.
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
        let made = draft(&document).unwrap();
        assert_eq!(
            Value::Object(made.metadata),
            json!({ "year": 2024, "uri": "cats/1.png" })
        );
        assert_eq!(made.image.unwrap(), ImageSource::Bytes("bytes".into()));
        document.content = None;
        assert!(matches!(draft(&document), Err(ApiError::PathRefused(_))));
        document.uri.clear();
        assert!(matches!(
            draft(&document),
            Err(ApiError::Engine(EngineError::EmptyDocument))
        ));
    }
}
