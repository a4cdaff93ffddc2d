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

#[cfg(test)]
mod tests {
    use clipdb_engine::Embedding;

    use super::*;

    fn encoded(vector: &[f32]) -> Encoded {
        Encoded {
            embedding: Embedding::normalised(vector.to_vec()).unwrap(),
            truncated: false,
            tokens: 1,
        }
    }

    #[test]
    fn matches_are_ordered_by_similarity_with_both_scores() {
        let named = |id: &str| Document {
            id: id.to_owned(),
            ..Document::default()
        };
        let mut document = Document {
            matches: vec![named("far"), named("near"), named("middle")],
            ..Document::default()
        };
        let candidates = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]].map(|vector| encoded(&vector));
        order(&mut document, &encoded(&[1.0, 0.0]), &candidates, 100.0);
        let ids: Vec<&str> = document
            .matches
            .iter()
            .map(|found| found.id.as_str())
            .collect();
        assert_eq!(ids, ["near", "middle", "far"]);
        let score = |at: usize, name: &str| document.matches[at].scores[name].value;
        assert!((score(0, "clip_score_cosine") - 1.0).abs() < 1e-6);
        assert!(score(2, "clip_score_cosine").abs() < 1e-6);
        let sum: f32 = (0..3).map(|at| score(at, "clip_score")).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }

    #[test]
    fn an_empty_document_can_not_be_ranked() {
        let document = Document::default();
        for found in [None, Some(None)] {
            assert!(super::encoded(&document, found).is_err());
        }
        assert!(super::encoded(&document, Some(Some(encoded(&[1.0])))).is_ok());
    }
}
