//! A query's way through: its vector, each list asked, fusion, the hits' documents.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use clipdb_index::fusion::{self, Fused, RankedList};
use clipdb_index::{KeywordHits, ListKind, Nearest, Scored, VectorKind};
use clipdb_storage::{CollectionStore, Document, DocumentId};

use super::collection::Collection;
use super::query::{Content, Mode, Query};
use super::rows;
use super::{Engine, blocking};
use crate::error::ApiError;

/// Microseconds spent in each stage of one search.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub struct SearchTimings {
    pub queue_us: u64,
    pub preprocess_us: u64,
    pub model_us: u64,
    pub vector_us: u64,
    pub keyword_us: u64,
    pub fusion_us: u64,
    pub fetch_us: u64,
    pub total_us: u64,
}

pub struct Hit {
    pub document: Document,
    pub score: f64,
    pub parts: Vec<fusion::Part>,
    /// Where the query's words stand in it, when that was asked for: marked fragments by
    /// field.
    pub highlights: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TotalKind {
    /// All documents that match, counted.
    Exact,
    /// The candidates that were ranked; a vector query matches every document a little.
    Top,
}

pub struct Answer {
    pub hits: Vec<Hit>,
    pub total: usize,
    pub total_kind: TotalKind,
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
    ) -> Result<Answer, ApiError> {
        let started = Instant::now();
        let mut timings = SearchTimings::default();
        let mut truncated = false;
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
    pub(super) fn add_embedding(&mut self, spent: &clipdb_embed::Timings) {
        self.queue_us += spent.queue_us;
        self.preprocess_us += spent.preprocess_us;
        self.model_us += spent.model_us;
    }
}

fn microseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn rank_and_fetch(
    collection: &Collection,
    query: &Query,
    vector: Option<&[f32]>,
    mut timings: SearchTimings,
) -> Result<Answer, ApiError> {
    let index = collection.searchable()?;
    let within = query
        .filter
        .as_ref()
        .map(|filter| Ok::<_, ApiError>(index.select(&collection.filter(filter)?)?))
        .transpose()?;
    let how = Nearest {
        within: within.as_ref(),
        ..Nearest::default()
    };
    let depth = fusion::depth(query.offset + query.limit);
    let mut found: Vec<(ListKind, Vec<Scored>)> = Vec::with_capacity(3);

    let clock = Instant::now();
    if let Some(vector) = vector {
        for kind in [VectorKind::Image, VectorKind::Text] {
            if query.wants(kind.into()) && index.len(kind) > 0 {
                found.push((kind.into(), index.nearest(vector, kind, depth, &how)?));
            }
        }
    }
    timings.vector_us = microseconds(clock);

    let clock = Instant::now();
    let mut keyword = KeywordHits::default();
    if query.wants(ListKind::Keyword) {
        keyword = index.keyword(&query.words(), depth, within.as_ref())?;
        found.push((ListKind::Keyword, std::mem::take(&mut keyword.hits)));
    }
    timings.keyword_us = microseconds(clock);

    let clock = Instant::now();
    let alone = found.len() == 1 && query.mode != Mode::Hybrid;
    let lists = [ListKind::Keyword, ListKind::Image, ListKind::Text]
        .into_iter()
        .filter(|list| query.wants(*list))
        .map(|list| {
            let weight = if alone {
                1.0
            } else {
                query.fusion.weights().of(list)
            };
            (list, weight)
        })
        .collect();
    let fused = match found.as_slice() {
        [(kind, hits)] if alone => single_list(*kind, hits),
        lists => {
            let lists: Vec<_> = lists
                .iter()
                .map(|(kind, hits)| RankedList {
                    kind: *kind,
                    hits,
                    full_score: keyword.full_score,
                })
                .collect();
            query.fusion.fuse(&lists)
        }
    };
    timings.fusion_us = microseconds(clock);

    let store = &collection.store;
    let clock = Instant::now();
    let (mut hits, total) = page(store, query, fused)?;
    if query.highlight {
        for hit in &mut hits {
            let document = &hit.document;
            let marked = keyword
                .highlighter
                .highlight(document.text.as_deref(), &document.metadata);
            hit.highlights = Some(marked);
        }
    }
    timings.fetch_us = microseconds(clock);
    let (total, total_kind) = match query.mode {
        Mode::Keyword => (keyword.total, TotalKind::Exact),
        Mode::Hybrid | Mode::Vector => (total, TotalKind::Top),
    };
    Ok(Answer {
        hits,
        total,
        total_kind,
        lists,
        truncated: false,
        timings,
    })
}

/// One list needs no fusion: its own scores (cosine or BM25) say more than ranks.
fn single_list(list: ListKind, hits: &[Scored]) -> Vec<Fused> {
    let part = |position: usize, hit: &Scored| fusion::Part {
        list,
        rank: position + 1,
        raw_score: hit.score,
        place: (position + 1) as f64,
        closeness: 1.0,
        weight: 1.0,
        contribution: f64::from(hit.score),
    };
    hits.iter()
        .enumerate()
        .map(|(position, hit)| Fused {
            row: hit.row,
            score: f64::from(hit.score),
            parts: vec![part(position, hit)],
        })
        .collect()
}

/// The documents of the wanted page, best first, and how many there are in all.
/// The documents that the query itself names are left out.
fn page(
    store: &CollectionStore,
    query: &Query,
    fused: Vec<Fused>,
) -> Result<(Vec<Hit>, usize), ApiError> {
    let named: Vec<&DocumentId> = query
        .parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::ImageOf(id) => Some(id),
            _ => None,
        })
        .collect();
    let mut hits = Vec::with_capacity(query.limit);
    let mut total = 0;
    for fused in fused {
        if query
            .min_score
            .is_some_and(|least| fused.score < f64::from(least))
        {
            break;
        }
        if named.is_empty() && (total < query.offset || hits.len() == query.limit) {
            total += 1;
            continue;
        }
        // A document that was replaced or deleted since the lists were read has no such version.
        let Some(document) = store.get_by_key(rows::document_key(fused.row))? else {
            continue;
        };
        if named.contains(&&document.id) {
            continue;
        }
        total += 1;
        if total > query.offset && hits.len() < query.limit {
            hits.push(Hit {
                document,
                score: fused.score,
                parts: fused.parts,
                highlights: None,
            });
        }
    }
    Ok((hits, total))
}
