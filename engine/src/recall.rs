//! Measures the recall of a collection's index against exact search, with stored vectors as
//! queries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clipdb_index::{BuiltKind, CollectionIndex, Nearest, RowId, VectorKind};

use crate::blocking::blocking;
use crate::collection::collection::Collection;
use crate::engine::Engine;
use crate::error::EngineError;

/// Parameters of a recall measurement.
#[derive(Debug, Clone, Copy)]
pub struct RecallRequest {
    /// Hits per query.
    pub k: usize,
    /// Queries per kind of vector: stored vectors, sampled evenly.
    pub queries: usize,
    /// Candidates that a graph search keeps; `None`: the collection's setting.
    pub ef: Option<usize>,
    /// Inverted lists that a search reads; `None`: the collection's setting.
    pub nprobe: Option<usize>,
}

/// The recall of a collection's index.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Recall {
    /// Hits per query.
    pub k: usize,
    /// Of the image vectors; `None` if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<KindRecall>,
    /// Of the text vectors; `None` if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<KindRecall>,
}

/// The recall for one kind of vector.
#[derive(Debug, Clone, serde::Serialize)]
pub struct KindRecall {
    /// The kind of index that is used for this number of vectors.
    pub built_as: BuiltKind,
    /// Vectors in the index.
    pub vectors: usize,
    /// Queries that were measured.
    pub queries: usize,
    /// The fraction of the exact search's hits that the index also finds.
    pub recall: f64,
    /// The latency of the index.
    pub index: Latency,
    /// The latency of exact search.
    pub exact: Latency,
}

/// The latency of one search inside the index, in milliseconds.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Latency {
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
}

impl Engine {
    /// Measures the recall of both of the collection's vector indexes against exact search.
    ///
    /// # Errors
    /// The collection cannot be searched.
    pub async fn recall(
        &self,
        collection: &Arc<Collection>,
        request: RecallRequest,
    ) -> Result<Recall, EngineError> {
        collection.wake().await?;
        let collection = Arc::clone(collection);
        blocking(move || {
            let index = collection.searchable()?;
            Ok(Recall {
                k: request.k,
                image: measure(&index, VectorKind::Image, &request)?,
                text: measure(&index, VectorKind::Text, &request)?,
            })
        })
        .await?
    }
}

/// `None` if there are no such vectors.
fn measure(
    index: &CollectionIndex,
    kind: VectorKind,
    request: &RecallRequest,
) -> Result<Option<KindRecall>, EngineError> {
    let vectors = index.len(kind);
    let queries = index.sample(kind, request.queries);
    if queries.is_empty() {
        return Ok(None);
    }
    let usual = Nearest {
        ef: request.ef,
        nprobe: request.nprobe,
        ..Nearest::default()
    };
    let exact = Nearest {
        exact: true,
        ..Nearest::default()
    };
    let search = |query: &[f32], how: &Nearest<'_>, spent: &mut Vec<Duration>| {
        let started = Instant::now();
        let hits = index.nearest(query, kind, request.k, how)?;
        spent.push(started.elapsed());
        Ok::<Vec<RowId>, EngineError>(hits.into_iter().map(|hit| hit.row).collect())
    };
    let (mut by_index, mut by_scan) = (Vec::new(), Vec::new());
    let (mut found, mut wanted) = (0, 0);
    for query in &queries {
        let best = search(query, &exact, &mut by_scan)?;
        let hits = search(query, &usual, &mut by_index)?;
        wanted += best.len();
        found += hits.iter().filter(|row| best.contains(row)).count();
    }
    Ok(Some(KindRecall {
        built_as: index.vector_settings().built_as(vectors),
        vectors,
        queries: queries.len(),
        recall: found as f64 / wanted.max(1) as f64,
        index: Latency::of(by_index),
        exact: Latency::of(by_scan),
    }))
}

impl Latency {
    fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let at = |percent: usize| {
            let position = (durations.len() * percent / 100).min(durations.len().saturating_sub(1));
            durations
                .get(position)
                .map_or(0.0, |spent| (spent.as_secs_f64() * 1e5).round() / 1e2)
        };
        Self {
            p50_ms: at(50),
            p99_ms: at(99),
        }
    }
}
