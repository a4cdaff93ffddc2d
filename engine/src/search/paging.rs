//! Cuts one page out of hits that are read in steps: where it starts, where it ends, and the cursor of
//! the next page. Does not depend on an index: hits come from a [`HitSource`].

use clipdb_index::fusion;
use clipdb_index::{Order, RowId, SortKey};
use serde_json::Value;

use crate::error::EngineError;
use crate::search::view::{Cursor, RankedCursor};

/// The most rows that a cursor holds.
const MAX_CURSOR_ROWS: usize = 100;

/// A hit before its document is read.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) row: RowId,
    /// `None` if hits are ordered by fields and were not ranked.
    pub(crate) score: Option<f64>,
    pub(crate) confidence: Option<f64>,
    pub(crate) parts: Vec<fusion::Part>,
    /// Its first value in the field that hits are grouped by.
    pub(crate) group: Option<Value>,
    /// The distance in metres, if hits are ordered by distance.
    pub(crate) distance_m: Option<f64>,
    /// Its sort key, if hits are ordered by fields; `None` if by score.
    pub(crate) place: Option<SortKey>,
}

/// Hits in their order, of which more can be read. Further reads keep the positions of earlier hits.
pub(crate) trait HitSource {
    /// The hits that were read until now.
    fn hits(&self) -> &[Candidate];

    /// Reads further hits; returns `false` if there are none.
    fn read_more(&mut self) -> Result<bool, EngineError>;

    /// Takes the hits out.
    fn take_hits(&mut self) -> Vec<Candidate>;
}

/// Where a page starts.
pub(crate) enum PageStart<'a> {
    /// After this number of hits.
    Offset(usize),
    /// After the page that a cursor ends, in the order of scores.
    AfterRanked {
        cursor: &'a RankedCursor,
        scores: Scores,
    },
    /// After a sort key, in the order of fields.
    AfterPlace {
        place: &'a SortKey,
        order: &'a Order,
    },
}

/// Whether writes to other documents can change a hit's score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scores {
    /// The score depends on the hit alone.
    Absolute,
    /// The score depends on the other hits.
    Relative,
}

impl PageStart<'_> {
    /// The position of the page's first hit; past the end if that hit was not read yet.
    fn position(&self, hits: &[Candidate], limit: usize) -> usize {
        match self {
            Self::Offset(offset) => *offset,
            Self::AfterRanked { cursor, scores } => position_after(hits, cursor, *scores, limit),
            Self::AfterPlace { place, order } => hits
                .iter()
                .position(|hit| {
                    let other = hit.place.as_ref();
                    other.is_some_and(|other| order.compare(other, place).is_gt())
                })
                .unwrap_or(hits.len()),
        }
    }
}

/// The position after the last hit of the cursor's page that still exists. If none does: after the
/// hits with the cursor's score if scores are absolute; otherwise the position of the cursor's page,
/// because the next page has moved up to it.
fn position_after(
    hits: &[Candidate],
    cursor: &RankedCursor,
    scores: Scores,
    limit: usize,
) -> usize {
    let position_of = |row: &u64| hits.iter().position(|hit| hit.row.0 == *row);
    if let Some(position) = cursor.rows.iter().rev().find_map(position_of) {
        return position + 1;
    }
    if scores == Scores::Absolute {
        return hits
            .iter()
            .position(|hit| hit.score.is_some_and(|score| score < cursor.score))
            .unwrap_or(hits.len());
    }
    let removed = if cursor.rows.len() < MAX_CURSOR_ROWS {
        cursor.rows.len()
    } else {
        limit
    };
    cursor.seen.saturating_sub(removed)
}

/// Reads the page and one more hit, which shows whether there is a next page.
pub(crate) fn read_page(
    source: &mut impl HitSource,
    start: &PageStart<'_>,
    limit: usize,
) -> Result<(Vec<Candidate>, Option<Cursor>), EngineError> {
    loop {
        let hits = source.hits();
        let position = start.position(hits, limit);
        let is_complete = hits.len() > position.saturating_add(limit);
        if is_complete || !source.read_more()? {
            break;
        }
    }
    let hits = source.take_hits();
    let position = start.position(&hits, limit);
    Ok(cut(hits, position, limit))
}

fn cut(
    mut hits: Vec<Candidate>,
    position: usize,
    limit: usize,
) -> (Vec<Candidate>, Option<Cursor>) {
    let end = position.saturating_add(limit).min(hits.len());
    let has_next = end < hits.len();
    hits.truncate(end);
    let page = hits.split_off(position.min(end));
    let next = page
        .last()
        .filter(|_| has_next)
        .map(|last| match &last.place {
            Some(place) => Cursor::Ordered(place.clone()),
            None => Cursor::Ranked(RankedCursor {
                score: last.score.unwrap_or_default(),
                rows: page[page.len().saturating_sub(MAX_CURSOR_ROWS)..]
                    .iter()
                    .map(|hit| hit.row.0)
                    .collect(),
                seen: end,
            }),
        });
    (page, next)
}

#[cfg(test)]
mod tests;
