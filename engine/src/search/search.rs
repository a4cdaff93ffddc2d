//! Runs a query: computes its vector, ranks, finds the page and reads the documents of its hits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use clipdb_embed::ModelCard;
use clipdb_index::{Facet, ListKind, fusion};
use clipdb_storage::{Document, Vector};
use serde_json::Value;

use crate::blocking::blocking;
use crate::collection::collection::Collection;
use crate::collection::rows;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::search::confidence::{Asked, Confidence};
use crate::search::page::{self, Page};
use crate::search::passage::HitPassage;
use crate::search::query::{Mode, Query};
use crate::search::ranking::Ranker;
use crate::search::timings::{SearchTimings, Stage, microseconds_since};
use crate::search::totals::TotalKind;
use crate::search::view::Cursor;
use crate::search::warning::Warning;

/// A document that a search found.
pub struct Hit {
    /// The document.
    pub document: Document,
    /// Its score; `None` if hits are ordered by fields and were not ranked.
    pub score: Option<f64>,
    /// How sure it may be that this is what was asked for, from 0 to 1; `None` if hits are ordered by
    /// fields and were not ranked.
    pub confidence: Option<f64>,
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
    /// Whether nothing passes the query's cut, although there are documents that pass its filter.
    pub no_match: bool,
    /// Remarks about the query.
    pub warnings: Vec<Warning>,
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
        let (vector, asked) = if query.wants(ListKind::Image) || query.wants(ListKind::Text) {
            let (vector, asked) = self
                .query_vector(collection, &query, &mut timings, &mut truncated)
                .await?;
            (Some(vector), asked)
        } else {
            (None, Asked::default())
        };
        let model = self.models.of(collection.definition()).ok();
        let model = model.map(|encoder| encoder.card().clone());
        let mut warnings = Vec::new();
        if !asked.unread_scripts.is_empty() {
            warnings.push(Warning::UnreadableQuery {
                model: collection.definition().model.clone(),
                scripts: asked.unread_scripts.clone(),
            });
        }
        let collection = Arc::clone(collection);
        let search = move || {
            let vector = vector.as_deref();
            rank_and_fetch(&collection, &query, vector, &asked, model.as_ref(), timings)
        };
        let mut answer = blocking(search).await??;
        answer.warnings = warnings;
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
    asked: &Asked,
    model: Option<&ModelCard>,
    mut timings: SearchTimings,
) -> Result<Answer, EngineError> {
    let index = collection.searchable()?;
    let confidence = Confidence::new(&index, vector, asked, model);
    let ranker = Ranker::new(collection, &index, query, vector, confidence)?;
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
            confidence: candidate.confidence,
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
        no_match: query.cut.is_active()
            && counted.total == 0
            && query.mode != Mode::Browse
            && ranker.has_documents(),
        warnings: Vec::new(),
        truncated: false,
        timings,
    })
}

#[cfg(test)]
mod tests;
