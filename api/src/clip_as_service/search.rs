//! `/search`: finds each document's nearest neighbours in a collection, as its matches.

use std::cmp::Ordering;

use clipdb_engine::{
    Cut, Fusion, Hit, ListKind, Mode, Part, Priority, Query, Targets, TextRole, View,
};
use serde_json::Value;

use crate::clip_as_service::encode::Embedded;
use crate::clip_as_service::executor::Executor;
use crate::clip_as_service::index::URI;
use crate::clip_as_service::message::{Content, Document, NamedScore, struct_from_json};
use crate::clip_as_service::parameters::Parameters;
use crate::http::error::ApiError;

/// AnnLite's default.
const LIMIT: usize = 10;

impl Executor {
    pub(super) async fn search(
        &self,
        documents: Vec<Document>,
        parameters: &Parameters,
    ) -> Result<Vec<Document>, ApiError> {
        let collection = self.collection(parameters)?;
        Self::check_model(&collection, parameters)?;
        let encoder = self.engine.models().of(collection.definition())?;
        let paths = parameters.search_paths();
        let Embedded {
            mut documents,
            found,
        } = self
            .embed(encoder, documents, paths, TextRole::Query, Priority::Search)
            .await?;
        let limit = parameters.limit.unwrap_or(LIMIT);
        let mut ids = Vec::new();
        paths.visit(&mut documents, &mut |document| {
            ids.push(document.id.clone());
            Ok::<_, ApiError>(())
        })?;
        let mut answers = Vec::with_capacity(found.len());
        for (id, encoded) in ids.iter().zip(found) {
            let encoded = encoded
                .ok_or(ApiError::EmptyQuery)
                .map_err(|error| error.in_document(id))?;
            let query = nearest(encoded.embedding.as_slice().to_vec(), limit, parameters);
            let answer = self.engine.search(&collection, query).await?;
            answers.push((encoded.embedding, best_first(answer.hits, limit)));
        }
        let mut answers = answers.into_iter();
        paths.visit(&mut documents, &mut |document| {
            if let Some((embedding, matches)) = answers.next() {
                self.set_embedding(document, embedding, parameters);
                document.matches = matches;
            }
            Ok::<_, ApiError>(())
        })?;
        Ok(documents)
    }
}

/// Orders an image and a text of equal fused score by the cosine, which these clients look at: an
/// exact copy of the query comes first.
fn best_first(mut hits: Vec<Hit>, limit: usize) -> Vec<Document> {
    hits.sort_by(|one, other| {
        let by_score = other
            .score
            .partial_cmp(&one.score)
            .unwrap_or(Ordering::Equal);
        by_score.then_with(|| cosine(other).total_cmp(&cosine(one)))
    });
    hits.truncate(limit);
    hits.into_iter().map(into_match).collect()
}

/// The similarity of the nearer one of its vectors.
fn cosine(hit: &Hit) -> f32 {
    hit.parts
        .iter()
        .filter(|part| part.list != ListKind::Keyword)
        .map(|part| part.raw_score)
        .fold(-1.0, f32::max)
}

/// Searches by vectors only, like AnnLite. Fetches one extra hit, which may tie with the last.
fn nearest(vector: Vec<f32>, limit: usize, parameters: &Parameters) -> Query {
    Query {
        parts: vec![Part {
            content: clipdb_engine::Content::Vector(vector),
            weight: 1.0,
        }],
        keywords: None,
        typos: false,
        highlight: false,
        mode: Mode::Vector,
        targets: Targets::BOTH,
        fusion: Fusion::default(),
        limit: limit + 1,
        offset: 0,
        min_score: None,
        cut: Cut::default(),
        filter: parameters.filter.clone(),
        view: View::default(),
        exact: false,
        ef: None,
        nprobe: None,
        with_vectors: false,
    }
}

/// A hit as a docarray document. Its score is the cosine *distance*, of which 0 is best. In a
/// collection of images and texts the hits are ordered by their fused ranks, which keeps either
/// kind from displacing the other, and not by this score.
fn into_match(hit: Hit) -> Document {
    let distance = 1.0 - cosine(&hit);
    let mut metadata = hit.document.metadata;
    let uri = match metadata.get(URI) {
        Some(Value::String(_)) => metadata.remove(URI),
        _ => None,
    };
    let mime_type = match &hit.document.image {
        Some(image) => image.media_type.clone(),
        None => "text".to_owned(),
    };
    Document {
        id: hit.document.id.to_string(),
        content: hit.document.text.map(Content::Text),
        adjacency: 1,
        uri: uri
            .and_then(|uri| uri.as_str().map(str::to_owned))
            .unwrap_or_default(),
        mime_type,
        tags: (!metadata.is_empty()).then(|| struct_from_json(metadata)),
        scores: [("cosine".to_owned(), NamedScore::new(distance, "cosine"))].into(),
        ..Document::default()
    }
}
