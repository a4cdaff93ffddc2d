//! `/rank`: each document's matches, ordered by their similarity to it.

use clipdb_engine::{Encoded, EngineError, TextRole, rank, rank_priority};

use crate::clip_as_service::encode::Embedded;
use crate::clip_as_service::executor::Executor;
use crate::clip_as_service::message::{Document, NamedScore};
use crate::clip_as_service::parameters::Parameters;
use crate::clip_as_service::paths::Paths;
use crate::http::error::ApiError;

impl Executor {
    /// As in CLIP-as-service, the matches, best first, have both scores and no embedding, and keep
    /// their images regardless of `drop_image_content`, since clients replace theirs with these
    /// matches. The temperature is the model's; for OpenAI's models it is 100, which
    /// CLIP-as-service uses for all.
    pub(super) async fn rank(
        &self,
        documents: Vec<Document>,
        parameters: &Parameters,
    ) -> Result<Vec<Document>, ApiError> {
        let encoder = self.engine.models().chosen(parameters.model.as_deref())?;
        let candidates = documents
            .iter()
            .map(|document| document.matches.len())
            .sum();
        let priority = rank_priority(candidates);
        let Embedded {
            documents,
            found: queries,
        } = self
            .embed(
                encoder,
                documents,
                &Paths::default(),
                TextRole::Query,
                priority,
            )
            .await?;
        let Embedded {
            mut documents,
            found: candidates,
        } = self
            .embed(
                encoder,
                documents,
                &Paths::matches(),
                TextRole::Document,
                priority,
            )
            .await?;
        let scale = encoder.card().logit_scale;
        let (mut queries, mut found) = (queries.into_iter(), candidates.into_iter());
        for document in &mut documents {
            let query = encoded(document, queries.next())?;
            let candidates = document
                .matches
                .iter()
                .map(|candidate| encoded(candidate, found.next()))
                .collect::<Result<Vec<_>, _>>()?;
            order(document, &query, &candidates, scale);
            self.set_embedding(document, query.embedding, parameters);
        }
        Ok(documents)
    }
}

/// An empty document can't be ranked.
fn encoded(document: &Document, found: Option<Option<Encoded>>) -> Result<Encoded, ApiError> {
    found
        .flatten()
        .ok_or_else(|| ApiError::from(EngineError::EmptyDocument).in_document(&document.id))
}

fn order(document: &mut Document, query: &Encoded, candidates: &[Encoded], logit_scale: f64) {
    let vectors = candidates
        .iter()
        .map(|candidate| candidate.embedding.as_slice());
    // Clients expect a softmax from every model.
    let ranked = rank(query.embedding.as_slice(), vectors, logit_scale, None);
    let mut matches: Vec<Option<Document>> = std::mem::take(&mut document.matches)
        .into_iter()
        .map(Some)
        .collect();
    document.matches = ranked
        .into_iter()
        .filter_map(|ranked| {
            let mut document = matches.get_mut(ranked.index)?.take()?;
            let mut score = |name: &str, value, by| {
                let score = NamedScore::new(value, by);
                document.scores.insert(name.to_owned(), score);
            };
            score("clip_score", ranked.probability, "softmax");
            score("clip_score_cosine", ranked.cosine, "cosine");
            document.embedding = None;
            Some(document)
        })
        .collect();
}
