//! From ranks to places: steps 1 to 4 of the formula, and its constants in one spot.
//!
//! The constants were chosen on the lists that an earlier bundled model gave for drawings,
//! texts about them and a novel's sentences (1,392 queries), by the share of queries for which a
//! right picture and a right text share the first ten, of those where each is in the first
//! ten of its own kind: 0.82 with these, 0.79 with the best fixed split of the page, 0.54
//! by plain reciprocal rank fusion; 0.93 if each query's split were known beforehand.
//! What the present model reaches is in `tests/README.md`. Halving or doubling any one of
//! the constants lost at most 0.03.

use std::collections::HashMap;

use super::RankedList;
use crate::row::{ListKind, RowId};

/// The rank whose score is what any document gets; a shorter list does not show it.
pub const BACKGROUND_RANK: usize = 50;

/// The first places of each list, which scores do not move.
pub const PLACES_KEPT: usize = 1;

/// How many places lie between a vector list's best score and its background.
pub const SPREAD: f64 = 15.0;

/// How many places lie between a document with every asked word and one with none. A
/// document with half of them is seldom the one that is meant.
pub const KEYWORD_SPREAD: f64 = 60.0;

/// The `k` of the fusion of keyword and text list into one side: small, so that one list's
/// firm answer is not outvoted by what both lists half know.
pub const SIDE_K: f64 = 3.0;

/// What decides between equals: a document that holds a good part of what was asked goes
/// before what only vectors found, one that holds less goes after it. Words of metadata
/// count for less than words of text, and an exact code still is a good part.
pub(super) fn exactness(keyword_closeness: Option<f64>) -> f64 {
    keyword_closeness.unwrap_or(0.25)
}

/// A row in one list.
pub(super) struct Standing {
    pub(super) row: RowId,
    pub(super) list: ListKind,
    pub(super) rank: usize,
    pub(super) raw_score: f32,
    pub(super) closeness: f64,
    pub(super) place: f64,
}

/// A text among those that keywords or vectors found.
#[derive(Default)]
struct OnSide {
    value: f64,
    keyword_closeness: Option<f64>,
}

/// Every row of every list with its place; `weight` is positive for all of them.
pub(super) fn place(lists: &[RankedList<'_>], weight: impl Fn(ListKind) -> f64) -> Vec<Standing> {
    let mut standings: Vec<Standing> = lists.iter().flat_map(within_list).collect();
    let mut side: HashMap<RowId, OnSide> = HashMap::new();
    for standing in standings.iter().filter(|standing| of_texts(standing.list)) {
        let on_side = side.entry(standing.row).or_default();
        on_side.value += weight(standing.list) / (SIDE_K + standing.place);
        if standing.list == ListKind::Keyword {
            on_side.keyword_closeness = Some(standing.closeness);
        }
    }
    let mut order: Vec<(RowId, OnSide)> = side.into_iter().collect();
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
    for standing in &mut standings {
        if of_texts(standing.list)
            && let Some(rank) = side_rank.get(&standing.row)
        {
            standing.place = standing.place.max(*rank as f64);
        }
    }
    standings
}

fn of_texts(list: ListKind) -> bool {
    match list {
        ListKind::Keyword | ListKind::Text => true,
        ListKind::Image => false,
    }
}

fn within_list<'a>(list: &RankedList<'a>) -> impl Iterator<Item = Standing> + use<'a> {
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
        Standing {
            row: hit.row,
            list: kind,
            rank,
            raw_score: hit.score,
            closeness,
            place,
        }
    })
}

/// How close a score comes to the best that its list can give.
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
