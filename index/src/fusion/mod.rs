//! Fuses ranked lists whose scores are not comparable, so that no kind of document crowds out
//! another.
//!
//! A dual encoder scores text against text far higher than text against images, and BM25 has its own
//! scale, so scores of two lists are never compared. The fusion compares the *places* of a document
//! in the lists that found it:
//!
//! 1. `r(d,l)`: the rank of document `d` in list `l`, from 1.
//! 2. `x(d,l)` in 0..=1: how close its score is to the list's best. For vectors
//!    `(s(d) − b) / (s(best) − b)`, where `b` is the list's score at rank [`BACKGROUND_RANK`], the
//!    score of an arbitrary document; 1 for all documents of a shorter list. For keywords
//!    `s(d) / full`, at most 1, where `full` is the score of a document with every word of the query.
//! 3. `p(d,l) = r` for `r ≤` [`PLACES_KEPT`], otherwise `max(r, 1 + SPREAD · (1 − x))` with
//!    [`SPREAD`], or [`KEYWORD_SPREAD`] for keywords: a list with a clear answer does not fill the
//!    page with its other documents.
//! 4. The keyword list and the text list are two ways to find texts, so together they get one side of
//!    the page. The side is ordered by `Σ w(l) / (SIDE_K + p(d,l))` over these two lists, and `q(d)`
//!    is a document's rank in it; for the image list `q = p`.
//! 5. `v(d,l) = w(l) / (k + max(p(d,l), q(d)))`: the term of reciprocal rank fusion (Cormack, Clarke
//!    and Büttcher 2009). With the linear method `v(d,l) = w(l) · x(d,l)`, without places.
//! 6. `score(d) = max v(d,l) + Σ g(v(d,l))` over the other lists that found it, with
//!    `g(v) = v² / 4 max w`, about a quarter of the difference to the next place; with the linear
//!    method `g(v) = v / 100`. It only breaks ties.
//!
//! Consequences:
//! - A document is ranked by the list in which it is best. A list that does not contain it has no
//!   effect: an image without text loses nothing to the keyword list, and text or metadata never
//!   rank an image lower.
//! - Being found by all three lists is worth less than one place, so a text that keywords and vectors
//!   find is level with an image that only one list can find.
//! - The first places of each list stay near the top: a text with other words than the query, an
//!   exact code whose vector has no meaning.
//! - A better rank in a list, or an additional list, never lowers a score.
//! - Of equal scores, a text with a good part of the query's words comes first: an exact code before
//!   a text that its vector happens to be nearest to.
//!
//! With equal weights `k` only scales the scores, since a score comes from one place; with unequal
//! weights, a larger `k` gives weights more influence relative to places.

mod place;

use std::collections::HashMap;

use crate::row::{ListKind, RowId, Scored};

pub use place::{BACKGROUND_RANK, KEYWORD_SPREAD, PLACES_KEPT, SIDE_K, SPREAD};

/// The constant of Cormack, Clarke and Büttcher.
pub const DEFAULT_K: f64 = 60.0;

/// Number of hits of each list that suffice to know the score of an arbitrary document.
pub const DEPTH: usize = 2 * BACKGROUND_RANK;

/// One list to fuse.
#[derive(Debug, Clone, Copy)]
pub struct RankedList<'a> {
    /// Its kind; each kind at most once.
    pub kind: ListKind,
    /// The hits, best first, each row once.
    pub hits: &'a [Scored],
    /// [`crate::KeywordHits::full_score`] for keywords; unused for vectors.
    pub full_score: f32,
}

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

/// The weight of each list; a list with weight 0 is ignored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Weight of the keyword list.
    pub keyword: f64,
    /// Weight of the image list.
    pub image: f64,
    /// Weight of the text list.
    pub text: f64,
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
    /// Its place, `max(p, q)`, which is not less than the rank.
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
        let placed = place::place(&weighted, |list| self.weights.of(list));
        let mut documents: HashMap<RowId, Vec<Part>> = HashMap::new();
        for rank in placed {
            documents.entry(rank.row).or_default().push(Part {
                list: rank.list,
                rank: rank.rank,
                raw_score: rank.raw_score,
                place: rank.place,
                closeness: rank.closeness,
                weight: self.weights.of(rank.list),
                contribution: 0.0,
            });
        }
        let mut fused: Vec<Fused> = documents
            .into_iter()
            .map(|(row, parts)| self.score(row, parts))
            .collect();
        fused.sort_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then(b.exactness().total_cmp(&a.exactness()))
                .then(a.row.cmp(&b.row))
        });
        fused
    }

    /// Computes the score: the best list counts fully, the others for their agreement.
    fn score(&self, row: RowId, mut parts: Vec<Part>) -> Fused {
        parts.sort_by_key(|part| part.list);
        let mut best = 0;
        for (position, part) in parts.iter().enumerate() {
            if self.value(part) > self.value(&parts[best]) {
                best = position;
            }
        }
        for (position, part) in parts.iter_mut().enumerate() {
            let value = self.value(part);
            part.contribution = if position == best {
                value
            } else {
                self.agreement(value)
            };
        }
        Fused {
            row,
            score: parts.iter().map(|part| part.contribution).sum(),
            parts,
        }
    }

    /// Grows more slowly than the value itself, so a list that becomes the best one raises the score.
    fn agreement(&self, value: f64) -> f64 {
        match self.method {
            Method::Rrf { .. } => value * value / (4.0 * self.weights.largest()),
            Method::Linear => value / 100.0,
        }
    }

    fn value(&self, part: &Part) -> f64 {
        match self.method {
            Method::Rrf { k } => part.weight / (k + part.place),
            Method::Linear => part.weight * part.closeness,
        }
    }
}

impl Fused {
    fn exactness(&self) -> f64 {
        let keyword = self
            .parts
            .iter()
            .find(|part| part.list == ListKind::Keyword);
        place::exactness(keyword.map(|part| part.closeness))
    }
}

impl Weights {
    /// The weight of one list.
    pub fn of(&self, list: ListKind) -> f64 {
        match list {
            ListKind::Keyword => self.keyword,
            ListKind::Image => self.image,
            ListKind::Text => self.text,
        }
    }

    fn largest(&self) -> f64 {
        self.keyword.max(self.image).max(self.text)
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            keyword: 1.0,
            image: 1.0,
            text: 1.0,
        }
    }
}

impl Default for Method {
    fn default() -> Self {
        Self::Rrf { k: DEFAULT_K }
    }
}
