//! The documents of one list: steps 1 to 3 of the formula, and its constants.
//!
//! The constants were chosen on the lists of an earlier bundled model for drawings, texts about them
//! and sentences of a novel (1,392 queries), and kept when the order of the texts changed.
//! `docs/benchmarks.md` has the results of the current model.

use super::lists::RankedList;
use crate::row::{ListKind, RowId};

/// The rank whose score is that of an arbitrary document. A shorter list does not have it.
pub const BACKGROUND_RANK: usize = 50;

/// Number of places between the best score of a vector list and its background.
pub const SPREAD: f64 = 15.0;

/// Number of places between a document with every word of the query and one with none. A document
/// with half of the words is rarely relevant.
pub const KEYWORD_SPREAD: f64 = 60.0;

/// A row in one list.
pub(super) struct ListRank {
    pub(super) row: RowId,
    pub(super) list: ListKind,
    pub(super) rank: usize,
    pub(super) raw_score: f32,
    pub(super) closeness: f64,
    /// The place that its score alone gives it.
    pub(super) spread: f64,
}

/// The rows of a list, best first.
pub(super) fn ranks<'a>(list: &RankedList<'a>) -> impl Iterator<Item = ListRank> + use<'a> {
    let kind = list.kind;
    let closeness = closeness(list);
    let spread = match kind {
        ListKind::Keyword => KEYWORD_SPREAD,
        ListKind::Image | ListKind::Text => SPREAD,
    };
    (1..).zip(list.hits).map(move |(rank, hit)| {
        let closeness = closeness(hit.score);
        ListRank {
            row: hit.row,
            list: kind,
            rank,
            raw_score: hit.score,
            closeness,
            spread: 1.0 + spread * (1.0 - closeness),
        }
    })
}

/// The place of a document with this rank on its side: its rank, or later if its score is far below
/// the best one. The first one is first in any case.
pub(super) fn place(rank: usize, spread: f64) -> f64 {
    match rank {
        1 => 1.0,
        rank => spread.max(rank as f64),
    }
}

/// The closeness of a score to the best score of its list.
fn closeness(list: &RankedList<'_>) -> impl Fn(f32) -> f64 + use<> {
    let hits = list.hits;
    let (best, background) = match (list.kind, hits.first(), hits.get(BACKGROUND_RANK - 1)) {
        (ListKind::Keyword, _, _) => (f64::from(list.full_score), 0.0),
        (_, Some(best), Some(typical)) => (f64::from(best.score), f64::from(typical.score)),
        _ => (0.0, 0.0),
    };
    let span = best - background;
    move |score| {
        if span > f64::EPSILON {
            ((f64::from(score) - background) / span).clamp(0.0, 1.0)
        } else {
            1.0
        }
    }
}
