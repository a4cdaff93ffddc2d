//! Runs a query: computes its vector, ranks, finds the page and reads the documents of its hits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use clipdb_index::{Facet, ListKind, fusion};
use clipdb_storage::{Document, Vector};
use serde_json::Value;

use crate::blocking::blocking;
use crate::collection::collection::Collection;
use crate::collection::rows;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::search::page::{self, Page};
use crate::search::passage::HitPassage;
use crate::search::query::Query;
use crate::search::ranking::{Ranker, TotalKind};
use crate::search::timings::{SearchTimings, Stage, microseconds_since};
use crate::search::view::Cursor;

/// A document that a search found.
pub struct Hit {
    /// The document.
    pub document: Document,
    /// Its score; `None` if hits are ordered by fields and were not ranked.
    pub score: Option<f64>,
    /// The contribution of each list to the score.
    pub parts: Vec<fusion::Part>,
    /// Fragments with the matched words marked, by field, if they were requested.
    pub highlights: Option<BTreeMap<String, Vec<String>>>,
    /// The value that it is grouped by; `None` if it has none or hits are not grouped.
    pub group: Option<Value>,
    /// The distance in metres, if hits are ordered by distance.
    pub distance_m: Option<f64>,
    /// The passage of a long text that is nearest to the query.
    pub passage: Option<HitPassage>,
    /// Its unit vectors, if they were requested.
    pub vectors: Vec<Vector>,
}

/// The result of a search.
pub struct Answer {
    /// The hits of the page.
    pub hits: Vec<Hit>,
    /// The number of documents found; `total_kind` says how exact it is.
    pub total: usize,
    /// The meaning of `total`.
    pub total_kind: TotalKind,
    /// The requested facets by field, over the documents of `total`.
    pub facets: Vec<(String, Facet)>,
    /// Where the next page starts; `None` on the last page.
    pub next: Option<Cursor>,
    /// The lists that were read, with their weights.
    pub lists: Vec<(ListKind, f64)>,
    /// Whether a text of the query was longer than the model's context.
    pub truncated: bool,
    /// The duration of each stage.
    pub timings: SearchTimings,
}

impl Engine {
    /// Searches a collection. Opens its indexes if necessary.
    ///
    /// # Errors
    /// The query is invalid for this collection, a part cannot be embedded, or the collection cannot
    /// be searched.
    pub async fn search(
        &self,
        collection: &Arc<Collection>,
        query: Query,
    ) -> Result<Answer, EngineError> {
        let started = Instant::now();
        let mut timings = SearchTimings::default();
        let mut truncated = false;
        collection.wake().await?;
        let vector = if query.wants(ListKind::Image) || query.wants(ListKind::Text) {
            Some(
                self.query_vector(collection, &query.parts, &mut timings, &mut truncated)
                    .await?,
            )
        } else {
            None
        };
        let collection = Arc::clone(collection);
        let mut answer =
            blocking(move || rank_and_fetch(&collection, &query, vector.as_deref(), timings))
                .await??;
        answer.truncated = truncated;
        answer.timings.total_us = microseconds_since(started);
        self.statistics.searched(started.elapsed());
        Ok(answer)
    }
}

fn rank_and_fetch(
    collection: &Collection,
    query: &Query,
    vector: Option<&[f32]>,
    mut timings: SearchTimings,
) -> Result<Answer, EngineError> {
    let index = collection.searchable()?;
    let ranker = Ranker::new(collection, &index, query, vector)?;
    let Page {
        hits,
        next,
        ranking,
    } = page::find_page(&index, &ranker, query, &mut timings)?;
    let mut counted = ranking.counted;

    let stage = Stage::begin(tracing::info_span!("facets"));
    let mut facets = Vec::new();
    if !query.view.facets.is_empty() {
        let found = index.facets(counted.rows.as_deref(), &query.view.facets)?;
        // Documents deleted since the lists were read are in neither count.
        counted.total = usize::try_from(found.documents).unwrap_or(usize::MAX);
        let names = query.view.facets.iter().map(|(field, _)| field.clone());
        facets = names.zip(found.facets).collect();
    }
    timings.facets_us = stage.end();

    let stage = Stage::begin(tracing::info_span!("fetch"));
    let store = &collection.store;
    let highlighter = ranking.highlighter.for_hits(hits.len());
    let mut shown = Vec::with_capacity(hits.len());
    for candidate in hits {
        // A document that was replaced or deleted since the lists were read no longer has this
        // version.
        let Some(document) = store.get_by_key(rows::document_key(candidate.row))? else {
            continue;
        };
        let highlights = query
            .highlight
            .then(|| highlighter.highlight(document.text.as_deref(), &document.metadata));
        let vectors = if query.with_vectors {
            store.vectors(document.key)?
        } else {
            Vec::new()
        };
        shown.push(Hit {
            vectors,
            passage: ranking.passages.of_document(&document),
            document,
            score: candidate.score,
            parts: candidate.parts,
            highlights,
            group: candidate.group,
            distance_m: candidate.distance_m,
        });
    }
    timings.fetch_us = stage.end();
    Ok(Answer {
        hits: shown,
        total: counted.total,
        total_kind: counted.kind,
        facets,
        next,
        lists: ranking.lists,
        truncated: false,
        timings,
    })
}

#[cfg(test)]
mod tests;
