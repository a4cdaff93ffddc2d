//! Places of ranked documents: steps 1 to 4 of the formula, and its constants.
//!
//! The constants were chosen on the lists of an earlier bundled model for drawings, texts about them
//! and sentences of a novel (1,392 queries). The measure was the share of queries for which a
//! relevant image and a relevant text are both in the first ten, among queries for which each is in
//! the first ten of its own kind: 0.82 with these constants, 0.79 with the best fixed split of the
//! page, 0.54 with plain reciprocal rank fusion, and 0.93 if the best split of each query were known.
//! Results of the current model are in `docs/benchmarks.md`. Halving or doubling any of the constants
//! lost at most 0.03.

use std::collections::HashMap;

use super::RankedList;
use crate::row::{ListKind, RowId};

/// The rank whose score is that of an arbitrary document. A shorter list does not have it.
pub const BACKGROUND_RANK: usize = 50;

/// The number of first places of each list that do not depend on scores.
pub const PLACES_KEPT: usize = 1;

/// Number of places between the best score of a vector list and its background.
pub const SPREAD: f64 = 15.0;

/// Number of places between a document with every word of the query and one with none. A document
/// with half of the words is rarely relevant.
pub const KEYWORD_SPREAD: f64 = 60.0;

/// The `k` of the fusion of keyword list and text list. It is small, so a document that is first in
/// one list is not outranked by those that are mediocre in both.
pub const SIDE_K: f64 = 3.0;

/// Breaks ties: a document with a good part of the query's words comes before one that only vectors
/// found, and one with a smaller part comes after it. Words of the metadata count less than words
/// of the text, and an exact code is still a good part.
pub(super) fn exactness(keyword_closeness: Option<f64>) -> f64 {
    keyword_closeness.unwrap_or(0.25)
}

/// The rank of a row in one list.
pub(super) struct ListRank {
    pub(super) row: RowId,
    pub(super) list: ListKind,
    pub(super) rank: usize,
    pub(super) raw_score: f32,
    pub(super) closeness: f64,
    pub(super) place: f64,
}

/// A text that keywords or vectors found.
#[derive(Default)]
struct TextRank {
    value: f64,
    keyword_closeness: Option<f64>,
}

/// Every row of every list with its place. `weight` must be positive for all lists.
pub(super) fn place(lists: &[RankedList<'_>], weight: impl Fn(ListKind) -> f64) -> Vec<ListRank> {
    let mut ranks: Vec<ListRank> = lists.iter().flat_map(within_list).collect();
    let mut side: HashMap<RowId, TextRank> = HashMap::new();
    for rank in ranks.iter().filter(|rank| finds_texts(rank.list)) {
        let text = side.entry(rank.row).or_default();
        text.value += weight(rank.list) / (SIDE_K + rank.place);
        if rank.list == ListKind::Keyword {
            text.keyword_closeness = Some(rank.closeness);
        }
    }
    let mut order: Vec<(RowId, TextRank)> = side.into_iter().collect();
    order.sort_by(|(row, a), (other, b)| {
        b.value
            .total_cmp(&a.value)
            .then(exactness(b.keyword_closeness).total_cmp(&exactness(a.keyword_closeness)))
            .then(row.cmp(other))
    });
    let side_rank: HashMap<RowId, usize> = (1..)
        .zip(order)
        .map(|(rank, (row, _))| (row, rank))
        .collect();
    for rank in &mut ranks {
        if finds_texts(rank.list)
            && let Some(side_rank) = side_rank.get(&rank.row)
        {
            rank.place = rank.place.max(*side_rank as f64);
        }
    }
    ranks
}

fn finds_texts(list: ListKind) -> bool {
    match list {
        ListKind::Keyword | ListKind::Text => true,
        ListKind::Image => false,
    }
}

fn within_list<'a>(list: &RankedList<'a>) -> impl Iterator<Item = ListRank> + use<'a> {
    let kind = list.kind;
    let closeness = closeness(list);
    let spread = match kind {
        ListKind::Keyword => KEYWORD_SPREAD,
        ListKind::Image | ListKind::Text => SPREAD,
    };
    (1..).zip(list.hits).map(move |(rank, hit)| {
        let closeness = closeness(hit.score);
        let place = if rank <= PLACES_KEPT {
            rank as f64
        } else {
            (rank as f64).max(1.0 + spread * (1.0 - closeness))
        };
        ListRank {
            row: hit.row,
            list: kind,
            rank,
            raw_score: hit.score,
            closeness,
            place,
        }
    })
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
