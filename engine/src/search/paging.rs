//! One page out of hits that are read in pieces: where it starts, where it ends, and the cursor of
//! the next one. It knows no index: hits come from a [`HitSource`].

use clipdb_index::fusion;
use clipdb_index::{Order, RowId, SortKey};
use serde_json::Value;

use crate::error::EngineError;
use crate::search::view::{Cursor, RankedCursor};

/// The most rows that a cursor holds.
const ROWS_OF_A_CURSOR: usize = 100;

/// A hit before its document is read.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) row: RowId,
    /// `None` where the order is by fields and nothing was ranked.
    pub(crate) score: Option<f64>,
    pub(crate) parts: Vec<fusion::Part>,
    /// Its first value of the field that hits are grouped by.
    pub(crate) group: Option<Value>,
    /// Metres from where hits are ordered by distance.
    pub(crate) distance_m: Option<f64>,
    /// In the order of fields; `None` in that of scores.
    pub(crate) place: Option<SortKey>,
}

/// Hits in their order, of which more can be read. Hits that were read keep their places.
pub(crate) trait HitSource {
    /// The hits read until now.
    fn hits(&self) -> &[Candidate];

    /// Reads further hits; `false` if there are none.
    fn read_more(&mut self) -> Result<bool, EngineError>;

    /// Gives the hits up.
    fn take_hits(&mut self) -> Vec<Candidate>;
}

/// Where a page starts.
pub(crate) enum PageStart<'a> {
    /// After this many hits.
    Offset(usize),
    /// After a page of hits in the order of scores.
    AfterRanked {
        cursor: &'a RankedCursor,
        scores: Scores,
    },
    /// After a hit in the order of fields.
    AfterPlace {
        place: &'a SortKey,
        order: &'a Order,
    },
}

/// What a hit's score depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scores {
    /// On the hit alone, so that writes elsewhere leave it unchanged.
    Lasting,
    /// On what else is found.
    Relative,
}

impl PageStart<'_> {
    /// The position of the page's first hit; behind the end if the page is not reached yet.
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

/// After the last hit of the cursor's page that still exists. If none of them does: after the hits
/// with the same score, where scores last; otherwise the page after it has moved up into its
/// place.
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
    if scores == Scores::Lasting {
        return hits
            .iter()
            .position(|hit| hit.score.is_some_and(|score| score < cursor.score))
            .unwrap_or(hits.len());
    }
    let gone = if cursor.rows.len() < ROWS_OF_A_CURSOR {
        cursor.rows.len()
    } else {
        limit
    };
    cursor.seen.saturating_sub(gone)
}

/// Reads as much of `source` as the page needs, and one hit more: whether there is a next page.
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
                rows: page[page.len().saturating_sub(ROWS_OF_A_CURSOR)..]
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
