//! A query's way through: its vector, each list asked, fusion, the hits' documents.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use clipdb_index::{Facet, ListKind, fusion};
use clipdb_storage::{Document, Vector};
use serde_json::Value;
use tracing::Span;
use tracing::span::EnteredSpan;

use crate::blocking::blocking;
use crate::collection::collection::Collection;
use crate::collection::rows;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::search::page;
use crate::search::page::Page;
use crate::search::passage::HitPassage;
use crate::search::query::Query;
use crate::search::ranking::Ranker;
use crate::search::view::Cursor;

/// Microseconds spent in each stage of one search.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub struct SearchTimings {
    pub queue_us: u64,
    pub preprocess_us: u64,
    pub model_us: u64,
    pub vector_us: u64,
    pub keyword_us: u64,
    pub fusion_us: u64,
    pub facets_us: u64,
    pub fetch_us: u64,
    pub total_us: u64,
}

pub struct Hit {
    pub document: Document,
    /// `None` where hits are ordered by fields and were not ranked.
    pub score: Option<f64>,
    pub parts: Vec<fusion::Part>,
    /// Where the query's words stand in it, when that was asked for: marked fragments by
    /// field.
    pub highlights: Option<BTreeMap<String, Vec<String>>>,
    /// The value that it is grouped by.
    pub group: Option<Value>,
    /// Metres from where hits are ordered by distance.
    pub distance_m: Option<f64>,
    /// The part of a long text that came nearest to the query.
    pub passage: Option<HitPassage>,
    /// Its vectors, when they were asked for.
    pub vectors: Vec<Vector>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TotalKind {
    /// All documents that match, counted.
    Exact,
    /// Those that were counted, and maybe more.
    AtLeast,
    /// The candidates that were ranked; a vector query matches every document a little.
    Top,
}

pub struct Answer {
    pub hits: Vec<Hit>,
    pub total: usize,
    pub total_kind: TotalKind,
    /// The counts of the fields that were asked for, of the documents of the total.
    pub facets: Vec<(String, Facet)>,
    /// Where the next page starts, if there is one.
    pub next: Option<Cursor>,
    /// The lists that were asked, with their weights.
    pub lists: Vec<(ListKind, f64)>,
    /// A query text was longer than the model reads.
    pub truncated: bool,
    pub timings: SearchTimings,
}

impl Engine {
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
        answer.timings.total_us = microseconds(started);
        self.statistics.searched(started.elapsed());
        Ok(answer)
    }
}

impl SearchTimings {
    pub(crate) fn add_embedding(&mut self, spent: &clipdb_embed::Timings) {
        self.queue_us += spent.queue_us;
        self.preprocess_us += spent.preprocess_us;
        self.model_us += spent.model_us;
    }
}

fn microseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// One stage of a search: a span, and the time it took.
pub(crate) struct Stage {
    begun: Instant,
    _span: EnteredSpan,
}

impl Stage {
    pub(crate) fn begin(span: Span) -> Self {
        Self {
            begun: Instant::now(),
            _span: span.entered(),
        }
    }

    /// Microseconds since it began.
    pub(crate) fn end(self) -> u64 {
        microseconds(self.begun)
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
    } = page::find(&index, &ranker, query, &mut timings)?;
    let mut counted = ranking.counted;

    let stage = Stage::begin(tracing::info_span!("facets"));
    let mut facets = Vec::new();
    if !query.view.facets.is_empty() {
        let found = index.facets(counted.rows.as_deref(), &query.view.facets)?;
        // What was deleted since the lists were read is in neither.
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
        // A document that was replaced or deleted since the lists were read has no such version.
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
