//! Which of a search's results are on the page that is asked for, and where the next one
//! begins.

use std::collections::HashMap;

use clipdb_index::fusion::{self, Fused};
use clipdb_index::{CollectionIndex, Ordered, RowId, RowSet};
use serde_json::Value;

use super::query::{Mode, Query};
use super::ranking::{CANDIDATES, Ranker, Ranking};
use super::search::SearchTimings;
use super::view::{Cursor, GroupBy};
use crate::error::ApiError;

/// Hits that writes may have put before a cursor's before it is looked for further down.
const SLACK: usize = 100;

/// A hit before its document is read.
pub(super) struct Candidate {
    pub(super) row: RowId,
    /// `None` where the order is by fields and nothing was ranked.
    pub(super) score: Option<f64>,
    pub(super) parts: Vec<fusion::Part>,
    /// Its first value of the field that hits are grouped by.
    pub(super) group: Option<Value>,
    /// Metres from where hits are ordered by distance.
    pub(super) distance_m: Option<f64>,
    cursor: Cursor,
}

pub(super) struct Page {
    pub(super) hits: Vec<Candidate>,
    /// Where the next page starts, if there is one.
    pub(super) next: Option<Cursor>,
    pub(super) ranking: Ranking,
}

pub(super) fn find(
    index: &CollectionIndex,
    ranker: &Ranker<'_>,
    query: &Query,
    timings: &mut SearchTimings,
) -> Result<Page, ApiError> {
    if query.mode == Mode::Browse || !query.view.order.is_empty() {
        by_fields(index, ranker, query, timings)
    } else {
        by_score(index, ranker, query, timings)
    }
}

fn by_score(
    index: &CollectionIndex,
    ranker: &Ranker<'_>,
    query: &Query,
    timings: &mut SearchTimings,
) -> Result<Page, ApiError> {
    let (passed, seen) = match &query.view.cursor {
        None => (query.offset, None),
        Some(Cursor::Ranked { score, row, seen }) => (seen + SLACK, Some((*score, *row))),
        Some(Cursor::Ordered(_)) => return Err(foreign_cursor()),
    };
    let mut wanted = passed + query.limit + 1;
    if query.view.group_by.is_some() {
        wanted = wanted.max(CANDIDATES);
    }
    loop {
        let mut ranking = ranker.rank(wanted, timings)?;
        let ranked = std::mem::take(&mut ranking.fused);
        let candidates = grouped(index, ranked.into_iter().map(ranked_candidate), query)?;
        let start = match seen {
            None => query.offset,
            Some((score, row)) => position_after(&candidates, score, row),
        };
        let enough = candidates.len() > start.saturating_add(query.limit);
        if !enough && ranking.more && query.view.group_by.is_none() {
            wanted *= 2;
            continue;
        }
        return Ok(cut(candidates, start, query.limit, ranking));
    }
}

fn ranked_candidate(fused: Fused) -> Candidate {
    Candidate {
        row: fused.row,
        score: Some(fused.score),
        parts: fused.parts,
        group: None,
        distance_m: None,
        cursor: Cursor::Ranked {
            score: fused.score,
            row: fused.row.0,
            seen: 0,
        },
    }
}

/// Behind the hit that the cursor names; where it is gone, behind those that were as good.
fn position_after(candidates: &[Candidate], score: f64, row: u64) -> usize {
    match candidates
        .iter()
        .position(|candidate| candidate.row.0 == row)
    {
        Some(position) => position + 1,
        None => candidates
            .iter()
            .position(|candidate| candidate.score.is_some_and(|other| other < score))
            .unwrap_or(candidates.len()),
    }
}

/// In the order of fields: of everything that counts, scored or not.
fn by_fields(
    index: &CollectionIndex,
    ranker: &Ranker<'_>,
    query: &Query,
    timings: &mut SearchTimings,
) -> Result<Page, ApiError> {
    let after = match &query.view.cursor {
        None => None,
        Some(Cursor::Ordered(place)) if query.view.order.knows(place) => Some(place),
        Some(_) => return Err(foreign_cursor()),
    };
    let ranking = ranker.rank(0, timings)?;
    let scores: HashMap<RowId, &Fused> = if ranker.has_fixed_depth() {
        ranking
            .fused
            .iter()
            .map(|fused| (fused.row, fused))
            .collect()
    } else {
        HashMap::new()
    };
    let candidate = |ordered: Ordered| {
        let fused = scores.get(&ordered.row);
        Candidate {
            row: ordered.row,
            score: fused.map(|fused| fused.score),
            parts: fused.map_or_else(Vec::new, |fused| fused.parts.clone()),
            group: None,
            distance_m: ordered.place.distance_m(),
            cursor: Cursor::Ordered(ordered.place),
        }
    };
    let rows = ranking.counted.rows.as_deref();
    let order = &query.view.order;
    if query.view.group_by.is_none() {
        let wanted = query.offset + query.limit + 1;
        let ordered = index.ordered(rows, order, after, wanted)?;
        let candidates: Vec<Candidate> = ordered.into_iter().map(candidate).collect();
        return Ok(cut(candidates, query.offset, query.limit, ranking));
    }
    // Groups are made from the first hit on, whichever page is asked for.
    let ordered = index.ordered(rows, order, None, CANDIDATES)?;
    let candidates: Vec<Candidate> = ordered.into_iter().map(candidate).collect();
    let candidates = grouped(index, candidates.into_iter(), query)?;
    let start = match after {
        None => query.offset,
        Some(place) => candidates
            .iter()
            .position(|candidate| {
                matches!(&candidate.cursor, Cursor::Ordered(other) if order.compare(other, place).is_gt())
            })
            .unwrap_or(candidates.len()),
    };
    Ok(cut(candidates, start, query.limit, ranking))
}

/// At most so many of each group, the first ones.
fn grouped(
    index: &CollectionIndex,
    candidates: impl Iterator<Item = Candidate>,
    query: &Query,
) -> Result<Vec<Candidate>, ApiError> {
    let Some(GroupBy { field, limit }) = &query.view.group_by else {
        return Ok(candidates.collect());
    };
    let mut candidates: Vec<Candidate> = candidates.collect();
    let rows: RowSet = candidates.iter().map(|candidate| candidate.row).collect();
    let mut values = index.groups(&rows, field)?;
    let mut taken: HashMap<String, usize> = HashMap::new();
    candidates.retain_mut(|candidate| {
        candidate.group = values.remove(&candidate.row);
        match &candidate.group {
            None => true,
            Some(value) => {
                let taken = taken.entry(value.to_string()).or_default();
                *taken += 1;
                *taken <= *limit
            }
        }
    });
    Ok(candidates)
}

fn cut(mut candidates: Vec<Candidate>, start: usize, limit: usize, ranking: Ranking) -> Page {
    let end = start.saturating_add(limit).min(candidates.len());
    let more = end < candidates.len();
    candidates.truncate(end);
    let hits = candidates.split_off(start.min(end));
    let next = hits.last().filter(|_| more).map(|last| match &last.cursor {
        Cursor::Ranked { score, row, .. } => Cursor::Ranked {
            score: *score,
            row: *row,
            seen: end,
        },
        ordered => ordered.clone(),
    });
    Page {
        hits,
        next,
        ranking,
    }
}

fn foreign_cursor() -> ApiError {
    ApiError::InvalidField(
        "'cursor' is from a search in another order; send it with the search that gave it"
            .to_owned(),
    )
}
