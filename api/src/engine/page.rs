//! Which of a search's results are on the page that is asked for, and where the next one
//! begins.

use std::collections::HashMap;

use clipdb_index::fusion::{self, Fused};
use clipdb_index::{CollectionIndex, Filter, Group, Ordered, RowId, RowSet, SortKey};
use serde_json::Value;

use super::query::{Mode, Query};
use super::ranking::{CANDIDATES, Ranker, Ranking};
use super::search::SearchTimings;
use super::view::{Cursor, GroupBy, RankedCursor};
use crate::error::ApiError;

/// Hits that are read at a time to find groups; of fused lists no more at all.
const DEEPEST: usize = 64 * CANDIDATES;

/// Hits that writes may have put before a cursor's before it is looked for further down.
const SLACK: usize = 100;

/// Rows that a cursor holds at the most.
const ROWS_OF_A_CURSOR: usize = 100;

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
    /// In the order of fields; `None` in that of scores.
    place: Option<SortKey>,
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
        Some(Cursor::Ranked(cursor)) => (cursor.seen + SLACK, Some(cursor)),
        Some(Cursor::Ordered(_)) => return Err(foreign_cursor()),
    };
    let mut wanted = passed + query.limit + 1;
    let start = |candidates: &[Candidate]| match seen {
        None => query.offset,
        Some(cursor) => {
            position_after(candidates, cursor, ranker.has_lasting_scores(), query.limit)
        }
    };
    let enough =
        |candidates: &[Candidate]| candidates.len() > start(candidates).saturating_add(query.limit);
    if let Some(by) = &query.view.group_by {
        // The same for every page: where one list ends, what is read behind it begins.
        let mut depth = CANDIDATES;
        let mut ranking = ranker.rank(depth, timings)?;
        let mut groups = Groups::new(index, by);
        groups.take_ranked(&mut ranking)?;
        while !enough(&groups.taken) && ranking.more {
            let others = groups.seen_or_full()?;
            let counted = ranking.counted.rows.as_ref();
            if counted.is_some_and(|rows| rows.iter().all(|row| others.contains(row))) {
                break;
            }
            if ranker.is_one_list() {
                depth = DEEPEST.min(2 * depth);
                ranker.rank_others(&others, depth, &mut ranking, timings)?;
            } else if depth < DEEPEST {
                // Ranks are fused, and what is left out would change them.
                depth *= 2;
                ranking = ranker.rank(depth, timings)?;
                groups = Groups::new(index, by);
            } else {
                break;
            }
            groups.take_ranked(&mut ranking)?;
        }
        let start = start(&groups.taken);
        return Ok(cut(groups.taken, start, query.limit, ranking));
    }
    loop {
        let mut ranking = ranker.rank(wanted, timings)?;
        let ranked = std::mem::take(&mut ranking.fused);
        let candidates: Vec<Candidate> = ranked.into_iter().map(ranked_candidate).collect();
        if !enough(&candidates) && ranking.more {
            wanted *= 2;
            continue;
        }
        let start = start(&candidates);
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
        place: None,
    }
}

/// Behind the last hit of the cursor's page that is still there. Where all of them are gone,
/// behind those that were as good, if scores last; else the page after it has taken its place.
fn position_after(
    candidates: &[Candidate],
    cursor: &RankedCursor,
    scores_last: bool,
    limit: usize,
) -> usize {
    let position_of = |row: &u64| {
        candidates
            .iter()
            .position(|candidate| candidate.row.0 == *row)
    };
    if let Some(position) = cursor.rows.iter().rev().find_map(position_of) {
        return position + 1;
    }
    if scores_last {
        return candidates
            .iter()
            .position(|candidate| candidate.score.is_some_and(|score| score < cursor.score))
            .unwrap_or(candidates.len());
    }
    let gone = if cursor.rows.len() < ROWS_OF_A_CURSOR {
        cursor.rows.len()
    } else {
        limit
    };
    cursor.seen.saturating_sub(gone)
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
            distance_m: ordered.key.distance_m(),
            place: Some(ordered.key),
        }
    };
    let rows = ranking.counted.rows.as_deref();
    let order = &query.view.order;
    let Some(by) = &query.view.group_by else {
        let wanted = query.offset + query.limit + 1;
        let ordered = index.ordered(rows, order, after, wanted)?;
        let candidates: Vec<Candidate> = ordered.into_iter().map(candidate).collect();
        return Ok(cut(candidates, query.offset, query.limit, ranking));
    };
    // Groups are made from the first hit on, whichever page is asked for.
    let start = |candidates: &[Candidate]| match after {
        None => query.offset,
        Some(place) => candidates
            .iter()
            .position(|candidate| {
                let other = candidate.place.as_ref();
                other.is_some_and(|other| order.compare(other, place).is_gt())
            })
            .unwrap_or(candidates.len()),
    };
    let mut groups = Groups::new(index, by);
    let mut left: Option<RowSet> = None;
    let mut last: Option<SortKey> = None;
    let mut depth = CANDIDATES;
    loop {
        let ordered = index.ordered(left.as_ref().or(rows), order, last.as_ref(), depth)?;
        let all = ordered.len() < depth;
        last = ordered.last().map(|ordered| ordered.key.clone());
        groups.take(ordered.into_iter().map(candidate).collect())?;
        let start = start(&groups.taken);
        if all || groups.taken.len() > start.saturating_add(query.limit) {
            return Ok(cut(groups.taken, start, query.limit, ranking));
        }
        let mut others = match (left, rows) {
            (Some(left), _) => left,
            (None, Some(rows)) => rows.clone(),
            (None, None) => RowSet::clone(&*index.select(&Filter::all())?),
        };
        others.subtract(&groups.full()?);
        left = Some(others);
        depth = DEEPEST.min(2 * depth);
    }
}

/// At most so many hits of each group, the first ones that come.
struct Groups<'a> {
    index: &'a CollectionIndex,
    by: &'a GroupBy,
    hits: HashMap<Group, usize>,
    seen: RowSet,
    taken: Vec<Candidate>,
}

impl<'a> Groups<'a> {
    fn new(index: &'a CollectionIndex, by: &'a GroupBy) -> Self {
        Self {
            index,
            by,
            hits: HashMap::new(),
            seen: RowSet::default(),
            taken: Vec::new(),
        }
    }

    fn take_ranked(&mut self, ranking: &mut Ranking) -> Result<(), ApiError> {
        let ranked = std::mem::take(&mut ranking.fused);
        self.take(ranked.into_iter().map(ranked_candidate).collect())
    }

    fn take(&mut self, candidates: Vec<Candidate>) -> Result<(), ApiError> {
        let rows: RowSet = candidates.iter().map(|candidate| candidate.row).collect();
        let mut groups = self.index.groups(&rows, &self.by.field)?;
        for mut candidate in candidates {
            self.seen.insert(candidate.row);
            if let Some(group) = groups.remove(&candidate.row) {
                candidate.group = Some(group.value());
                let hits = self.hits.entry(group).or_default();
                if *hits == self.by.limit {
                    continue;
                }
                *hits += 1;
            }
            self.taken.push(candidate);
        }
        Ok(())
    }

    /// The rows of groups that take no more.
    fn full(&self) -> Result<RowSet, ApiError> {
        let full = self.hits.iter().filter(|(_, hits)| **hits == self.by.limit);
        let groups = full.map(|(group, _)| group);
        Ok(self.index.rows_of_groups(&self.by.field, groups)?)
    }

    fn seen_or_full(&self) -> Result<RowSet, ApiError> {
        let mut rows = self.full()?;
        self.seen.iter().for_each(|row| rows.insert(row));
        Ok(rows)
    }
}

fn cut(mut candidates: Vec<Candidate>, start: usize, limit: usize, ranking: Ranking) -> Page {
    let end = start.saturating_add(limit).min(candidates.len());
    let more = end < candidates.len();
    candidates.truncate(end);
    let hits = candidates.split_off(start.min(end));
    let next = hits.last().filter(|_| more).map(|last| match &last.place {
        Some(place) => Cursor::Ordered(place.clone()),
        None => Cursor::Ranked(RankedCursor {
            score: last.score.unwrap_or_default(),
            rows: hits[hits.len().saturating_sub(ROWS_OF_A_CURSOR)..]
                .iter()
                .map(|hit| hit.row.0)
                .collect(),
            seen: end,
        }),
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
