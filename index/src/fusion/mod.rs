//! Fuses ranked lists whose scores are not comparable, so that no kind of document crowds out
//! another.
//!
//! A dual encoder scores text against text far higher than text against images, and BM25 has its own
//! scale, so raw scores of two lists are never compared. Keywords and text vectors, scaled by their
//! lists, order the texts together; texts and images are compared by their *places*:
//!
//! 1. `r(d,l)`: the rank of document `d` in list `l`, from 1.
//! 2. `x(d,l)` in 0..=1: how close its score is to the list's best. For vectors
//!    `(s(d) − b) / (s(best) − b)`, where `b` is the list's score at rank [`BACKGROUND_RANK`], the
//!    score of an arbitrary document; 1 for all documents of a shorter list. For keywords
//!    `s(d) / full`, at most 1, where `full` is the score of a document with every word of the query.
//! 3. `p(d,l) = max(r, 1 + SPREAD · (1 − x))`, and 1 for `r = 1`, with [`SPREAD`], or
//!    [`KEYWORD_SPREAD`] for keywords: a list with a clear answer does not fill the page with its
//!    other documents.
//! 4. The keyword list and the text list are two ways to find texts, so together they are one side of
//!    the page. The side is ordered by `S(d) = 0.4 w(keyword) y(d,keyword) + 0.6 w(text) y(d,text)`;
//!    a list that did not find `d` adds nothing, and a keyword list of one document has 0.6
//!    instead of 0.4, and the text list 0.4 ([`KEY_PART`]). For keywords `y = s(d) / max(s(best), 0.35 full)`,
//!    for texts `y = (s(d) − e) / √((s(best) − e)(1 − e))`, where `e` is the score at the end of the
//!    list: half relative to the best document, half to a text that equals the query. `q(d)` is the
//!    rank in this order. If there are no images, it is the place; otherwise the place is
//!    `max(q, 1 + SPREAD · (1 − x))` for the list in which this is smallest, 1 for `q = 1`, and
//!    [`FIRST_PLACE`] for the first of each list; 1 for the first by keywords if keywords did not find
//!    the document with `q = 1`.
//! 5. `v(d) = w / (k + place)` for each side: the term of reciprocal rank fusion (Cormack, Clarke and
//!    Büttcher 2009), where `w` is the largest weight of the side's lists that found `d`. With the
//!    linear method `v(d) = w · S(d) / S(best)` for texts and `w · x` for images, without places.
//! 6. `score(d) = v + g(v')`, where `v` is the better side and `v'` the other one, with
//!    `g(v) = v² / 4 max w`, about a quarter of the difference to the next place; with the linear
//!    method `g(v) = v / 100`. It only breaks ties. If images share the page and both text lists
//!    found `d`, `v` of the texts has `g` of the value at the larger `p(d,l)` added: a text that words
//!    and vectors both put first comes before an image that only its vector puts first.
//!
//! Consequences:
//! - A document that keywords and vectors both find ranks higher among the texts than with either.
//! - A document is ranked by the side in which it is better. A list that does not contain it has no
//!   effect: an image without text loses nothing to the keyword list, and text or metadata never
//!   rank an image lower.
//! - Being found on both sides is worth less than one place, so a text is level with an image that
//!   only one list can find.
//! - The first document of each list stays at the top of a page with images: a text with other words
//!   than the query, an exact code whose vector has no meaning.
//! - A better score in a list never lowers a document's score.
//! - Of equal scores, a text with a good part of the query's words comes first: an exact code before
//!   a text that its vector happens to be nearest to.
//!
//! With equal weights `k` only scales the scores, since a score comes from one place; with unequal
//! weights, a larger `k` gives weights more influence relative to places.

mod lists;
mod place;
mod text_side;

use std::collections::HashMap;

use crate::row::{ListKind, RowId};

use lists::exactness;
use place::ListRank;
use text_side::TextDocument;

pub use lists::{RankedList, Weights};
pub use place::{BACKGROUND_RANK, KEYWORD_SPREAD, SPREAD};
pub use text_side::{FIRST_PLACE, FULL_PART, KEY_HITS, KEY_PART, KEYWORD_PART};

/// The constant of Cormack, Clarke and Büttcher.
pub const DEFAULT_K: f64 = 60.0;

/// Number of hits of each list that suffice to know the score of an arbitrary document.
pub const DEPTH: usize = 2 * BACKGROUND_RANK;

/// How the score of a document is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Reciprocal rank fusion with this `k`.
    Rrf {
        /// At least 0.
        k: f64,
    },
    /// By the closeness to each list's best score.
    Linear,
}

/// A validated configuration of the fusion.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Fusion {
    method: Method,
    weights: Weights,
}

/// An invalid configuration of the fusion.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum FusionError {
    /// `k` is negative or not finite.
    #[error("k is {0}, but must be at least 0")]
    K(f64),
    /// A weight is negative or not finite.
    #[error("the weight of the {list:?} list is {weight}, but must be at least 0")]
    Weight {
        /// The list.
        list: ListKind,
        /// Its weight.
        weight: f64,
    },
}

/// One fused hit.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// The row.
    pub row: RowId,
    /// The score; higher is better. It is exactly the sum of the parts' contributions in their order.
    pub score: f64,
    /// One part for each list that found it, in the order keyword, image, text.
    pub parts: Vec<Part>,
}

/// The contribution of one list to a fused hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// The list.
    pub list: ListKind,
    /// The document's rank in it, from 1.
    pub rank: usize,
    /// The document's score in the list: an inner product or BM25.
    pub raw_score: f32,
    /// Its place on its side.
    pub place: f64,
    /// The closeness to the list's best score, `x`.
    pub closeness: f64,
    /// The list's weight.
    pub weight: f64,
    /// Its summand of the score.
    pub contribution: f64,
}

impl Fusion {
    /// Validates `k` and the weights.
    ///
    /// # Errors
    /// A number is negative or not finite.
    pub fn new(method: Method, weights: Weights) -> Result<Self, FusionError> {
        let valid = |number: f64| number.is_finite() && number >= 0.0;
        if let Method::Rrf { k } = method
            && !valid(k)
        {
            return Err(FusionError::K(k));
        }
        for list in [ListKind::Keyword, ListKind::Image, ListKind::Text] {
            let weight = weights.of(list);
            if !valid(weight) {
                return Err(FusionError::Weight { list, weight });
            }
        }
        Ok(Self { method, weights })
    }

    /// The weights of the lists.
    pub fn weights(&self) -> Weights {
        self.weights
    }

    /// Fuses lists. Returns hits best first; ties by the share of the query's words, then by row. A
    /// row that is only in lists of weight 0 is absent.
    pub fn fuse(&self, lists: &[RankedList<'_>]) -> Vec<Fused> {
        let weighted = lists
            .iter()
            .filter(|list| self.weights.of(list.kind) > 0.0)
            .copied()
            .collect::<Vec<_>>();
        let ranks: Vec<ListRank> = weighted.iter().flat_map(place::ranks).collect();
        let texts = text_side::place(&weighted, &ranks, self.weights);
        let mut documents: HashMap<RowId, Vec<Part>> = HashMap::new();
        for rank in ranks {
            let text = texts.get(&rank.row).filter(|_| rank.list.finds_texts());
            documents.entry(rank.row).or_default().push(Part {
                list: rank.list,
                rank: rank.rank,
                raw_score: rank.raw_score,
                place: text.map_or_else(|| place::place(rank.rank, rank.spread), |text| text.place),
                closeness: rank.closeness,
                weight: self.weights.of(rank.list),
                contribution: 0.0,
            });
        }
        let mut fused: Vec<Fused> = documents
            .into_iter()
            .map(|(row, parts)| self.score(row, parts, texts.get(&row)))
            .collect();
        fused.sort_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then(b.exactness().total_cmp(&a.exactness()))
                .then(a.row.cmp(&b.row))
        });
        fused
    }

    /// Computes the score: the better side counts fully, the other one for its agreement.
    fn score(&self, row: RowId, mut parts: Vec<Part>, text: Option<&TextDocument>) -> Fused {
        parts.sort_by_key(|part| part.list);
        let mut on_text_side = parts.iter().filter(|part| part.list.finds_texts());
        let text_weight = on_text_side
            .clone()
            .map(|part| part.weight)
            .fold(0.0, f64::max);
        let is_in_both = on_text_side.clone().count() == 2;
        let text_value = match (on_text_side.next(), text) {
            (Some(part), Some(text)) => {
                let value = self.value(text_weight, part.place, text.closeness);
                let in_both = text.weaker_list.map_or(0.0, |list| {
                    self.agreement(self.value(text_weight, list.place, list.closeness))
                });
                rounded(value + in_both)
            }
            _ => 0.0,
        };
        let image = parts.iter().find(|part| part.list == ListKind::Image);
        let image_value = image.map_or(0.0, |part| {
            self.value(part.weight, part.place, part.closeness)
        });
        let (image_value, text_value) = if image_value > text_value {
            (image_value, self.agreement(text_value))
        } else {
            (self.agreement(image_value), text_value)
        };
        let share = text.map_or(1.0, |text| text.keyword_share);
        for part in &mut parts {
            part.contribution = match part.list {
                ListKind::Image => image_value,
                ListKind::Keyword if is_in_both => portion(text_value, share),
                ListKind::Text if is_in_both => text_value - portion(text_value, share),
                ListKind::Keyword | ListKind::Text => text_value,
            };
        }
        Fused {
            row,
            score: parts.iter().map(|part| part.contribution).sum(),
            parts,
        }
    }

    /// Grows more slowly than the value itself, so a side that becomes the better one raises the
    /// score.
    fn agreement(&self, value: f64) -> f64 {
        rounded(match self.method {
            Method::Rrf { .. } => value * value / (4.0 * self.weights.largest()),
            Method::Linear => value / 100.0,
        })
    }

    fn value(&self, weight: f64, place: f64, closeness: f64) -> f64 {
        rounded(match self.method {
            Method::Rrf { k } => weight / (k + place),
            Method::Linear => weight * closeness,
        })
    }
}

/// A value in single precision, so that [`portion`] and the sums are exact and equal values tie.
fn rounded(value: f64) -> f64 {
    f64::from(value as f32)
}

/// This share of a rounded value, rounded to 1 / 1024.
fn portion(value: f64, share: f64) -> f64 {
    value * ((share * 1024.0).round() / 1024.0)
}

impl Fused {
    fn exactness(&self) -> f64 {
        let keyword = self
            .parts
            .iter()
            .find(|part| part.list == ListKind::Keyword);
        exactness(keyword.map(|part| part.closeness))
    }
}

impl Default for Method {
    fn default() -> Self {
        Self::Rrf { k: DEFAULT_K }
    }
}
