//! How much of what an exact search finds a collection's index finds, on its own vectors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clipdb_index::{BuiltKind, CollectionIndex, Nearest, RowId, VectorKind};

use crate::blocking::blocking;
use crate::collection::collection::Collection;
use crate::engine::Engine;
use crate::error::EngineError;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct RecallRequest {
    /// Hits of each query.
    pub k: usize,
    /// Queries of each kind of vectors: stored vectors, taken evenly from all.
    pub queries: usize,
    pub ef: Option<usize>,
    pub nprobe: Option<usize>,
}

#[derive(Debug, Clone, serde::Serialize)]
pub struct Recall {
    pub k: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<KindRecall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<KindRecall>,
}

/// Of one kind of vectors.
#[derive(Debug, Clone, serde::Serialize)]
pub struct KindRecall {
    pub built_as: BuiltKind,
    pub vectors: usize,
    pub queries: usize,
    /// The share of the exact search's hits that the index finds too.
    pub recall: f64,
    pub index: Spent,
    pub exact: Spent,
}

/// Milliseconds of one search inside the index.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Spent {
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Engine {
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

/// `None` where there are no such vectors.
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
    let ask = |query: &[f32], how: &Nearest<'_>, spent: &mut Vec<Duration>| {
        let started = Instant::now();
        let hits = index.nearest(query, kind, request.k, how)?;
        spent.push(started.elapsed());
        Ok::<Vec<RowId>, EngineError>(hits.into_iter().map(|hit| hit.row).collect())
    };
    let (mut by_index, mut by_scan) = (Vec::new(), Vec::new());
    let (mut found, mut wanted) = (0, 0);
    for query in &queries {
        let best = ask(query, &exact, &mut by_scan)?;
        let hits = ask(query, &usual, &mut by_index)?;
        wanted += best.len();
        found += hits.iter().filter(|row| best.contains(row)).count();
    }
    Ok(Some(KindRecall {
        built_as: index.vector_settings().built_as(vectors),
        vectors,
        queries: queries.len(),
        recall: found as f64 / wanted.max(1) as f64,
        index: Spent::of(by_index),
        exact: Spent::of(by_scan),
    }))
}

impl Spent {
    fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let at = |share: usize| {
            let place = (durations.len() * share / 100).min(durations.len().saturating_sub(1));
            durations
                .get(place)
                .map_or(0.0, |spent| (spent.as_secs_f64() * 1e5).round() / 1e2)
        };
        Self {
            p50_ms: at(50),
            p99_ms: at(99),
        }
    }
}
