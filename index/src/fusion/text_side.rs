//! The side of the texts, which the keyword list and the text list find: step 4 of the formula.
//!
//! Its order is a weighted sum of scores, so a document gains from each list that finds it. The
//! constants were chosen on four test collections (Cranfield, CISI, CACM, NPL: 446 questions), whose
//! results are in `docs/benchmarks.md`.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::lists::{RankedList, Weights, exactness};
use super::place::{self, ListRank};
use crate::row::{ListKind, RowId};

/// The part of the keywords in the sum; the rest is that of the vectors.
pub const KEYWORD_PART: f64 = 0.4;

/// The part of the keywords if they are as good as a key: no more than [`KEY_HITS`] documents have
/// them. An exact code then comes before the texts that its vector happens to be near to.
pub const KEY_PART: f64 = 0.6;

/// The largest number of documents that a key finds.
pub const KEY_HITS: usize = 1;

/// A keyword score is compared with the best one, but at least with this part of the score of a
/// document with every word: a list whose best document has few of the words says little.
pub const FULL_PART: f64 = 0.35;

/// If images share the page, the place of the first document of each list that is not the best one:
/// a text in other words than the query is not crowded out by those that two lists find.
pub const FIRST_PLACE: f64 = 1.5;

/// A document of the text side.
#[derive(Debug, Default)]
pub(super) struct TextDocument {
    pub(super) place: f64,
    /// `S(d)` by the best one.
    pub(super) closeness: f64,
    /// The part of the keyword list in `S(d)`, from 0 to 1.
    pub(super) keyword_share: f64,
    /// Where it stands in the list that ranks it lower, if both found it and images share the page.
    pub(super) weaker_list: Option<ListPlace>,
}

/// The place and the closeness of a document in one list.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListPlace {
    pub(super) place: f64,
    pub(super) closeness: f64,
}

/// A document that is not placed yet.
struct Candidate {
    keyword: f64,
    text: f64,
    in_keywords: Option<ListPlace>,
    in_texts: Option<ListPlace>,
    /// The best place that the score in one list gives it.
    spread: f64,
}

/// The documents of the text side. The lists have positive weights.
pub(super) fn place(
    lists: &[RankedList<'_>],
    ranks: &[ListRank],
    weights: Weights,
) -> HashMap<RowId, TextDocument> {
    let scale_of = |kind| {
        let list = lists.iter().find(|list| list.kind == kind);
        list.map(|list| relevance(list))
    };
    let (keyword, text) = (scale_of(ListKind::Keyword), scale_of(ListKind::Text));
    let is_key = lists
        .iter()
        .any(|list| list.kind == ListKind::Keyword && list.hits.len() <= KEY_HITS);
    let keyword_part = if is_key { KEY_PART } else { KEYWORD_PART };
    let mut candidates: HashMap<RowId, Candidate> = HashMap::new();
    for rank in ranks {
        let relevance = match rank.list {
            ListKind::Image => continue,
            ListKind::Keyword => &keyword,
            ListKind::Text => &text,
        };
        let relevance = relevance.as_ref().map_or(0.0, |of| of(rank.raw_score));
        let candidate = candidates.entry(rank.row).or_default();
        candidate.spread = candidate.spread.min(rank.spread);
        let in_list = Some(ListPlace {
            place: place::place(rank.rank, rank.spread),
            closeness: rank.closeness,
        });
        if rank.list == ListKind::Keyword {
            candidate.keyword = keyword_part * weights.keyword * relevance;
            candidate.in_keywords = in_list;
        } else {
            candidate.text = (1.0 - keyword_part) * weights.text * relevance;
            candidate.in_texts = in_list;
        }
    }
    let mut order: Vec<(RowId, Candidate)> = candidates.into_iter().collect();
    order.sort_by(|(row, a), (other, b)| a.compare(b).then(row.cmp(other)));
    let Some((_, first)) = order.first() else {
        return HashMap::new();
    };
    let best = first.sum();
    let words_found_best = first.in_keywords.is_some();
    let images_share_the_page = ranks.iter().any(|rank| rank.list == ListKind::Image);
    (1..)
        .zip(order)
        .map(|(rank, (row, candidate))| {
            let place = if images_share_the_page {
                candidate.place_beside_images(rank, words_found_best)
            } else {
                rank as f64
            };
            let document = TextDocument {
                place,
                closeness: ratio(candidate.sum(), best),
                keyword_share: ratio(candidate.keyword, candidate.sum()),
                weaker_list: candidate.weaker_list().filter(|_| images_share_the_page),
            };
            (row, document)
        })
        .collect()
}

impl Candidate {
    /// `S(d)`.
    fn sum(&self) -> f64 {
        self.keyword + self.text
    }

    /// The place of the document with this rank among the texts. `words_found_best`: whether the
    /// keyword list found the first of them.
    fn place_beside_images(&self, rank: usize, words_found_best: bool) -> f64 {
        let is_first = |list: Option<ListPlace>| list.is_some_and(|list| list.place <= 1.0);
        let is_key = is_first(self.in_keywords) && !words_found_best;
        if rank == 1 || is_key {
            1.0
        } else if is_first(self.in_keywords) || is_first(self.in_texts) {
            FIRST_PLACE
        } else {
            place::place(rank, self.spread)
        }
    }

    /// Where it stands in the list that ranks it lower, if both found it.
    fn weaker_list(&self) -> Option<ListPlace> {
        let (keywords, texts) = self.in_keywords.zip(self.in_texts)?;
        Some(ListPlace {
            place: keywords.place.max(texts.place),
            closeness: keywords.closeness.min(texts.closeness),
        })
    }

    /// The better one first.
    fn compare(&self, other: &Self) -> Ordering {
        let exact = |candidate: &Self| exactness(candidate.in_keywords.map(|list| list.closeness));
        let sums = other.sum().total_cmp(&self.sum());
        sums.then(exact(other).total_cmp(&exact(self)))
    }
}

impl Default for Candidate {
    fn default() -> Self {
        Self {
            keyword: 0.0,
            text: 0.0,
            in_keywords: None,
            in_texts: None,
            spread: f64::INFINITY,
        }
    }
}

/// `y(d,l)`: how relevant a score is, from 0 to 1.
fn relevance(list: &RankedList<'_>) -> impl Fn(f32) -> f64 + use<> {
    let score = |hit: Option<&crate::row::Scored>| hit.map_or(0.0, |hit| f64::from(hit.score));
    let best = score(list.hits.first());
    let (zero, span) = match list.kind {
        ListKind::Keyword => (0.0, best.max(FULL_PART * f64::from(list.full_score))),
        ListKind::Image | ListKind::Text => {
            let last = score(list.hits.last());
            // The geometric mean of the distances of the best and of the same text from the last.
            (last, ((best - last) * (1.0 - last).max(best - last)).sqrt())
        }
    };
    move |score| {
        if span > f64::EPSILON {
            ((f64::from(score) - zero) / span).clamp(0.0, 1.0)
        } else {
            1.0
        }
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 1.0 }
}
