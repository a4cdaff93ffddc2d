//! Ranked lists of unlike scores into one, so that no kind of document drowns another.
//!
//! A dual encoder scores text against text far higher than text against pictures, and BM25
//! has a scale of its own, so scores of two lists are never compared. What is compared is
//! each document's *place* in each list that found it:
//!
//! 1. `r(d,l)`: the rank of document `d` in list `l`, from 1.
//! 2. `x(d,l)` in 0..=1: how close its score comes to the list's best. For vectors
//!    `(s(d) − b) / (s(best) − b)`, where `b` is the list's score at rank
//!    [`BACKGROUND_RANK`], what any document gets; 1 for all in a shorter
//!    list. For keywords the share `s(d) / full` of the score that a document
//!    holding every asked word would have, at most 1.
//! 3. `p(d,l) = r` for `r ≤` [`PLACES_KEPT`], beyond that `max(r, 1 + SPREAD · (1 − x))`
//!    with [`SPREAD`], for keywords [`KEYWORD_SPREAD`]: a list that has a clear answer does
//!    not fill the page with the rest.
//! 4. Keyword and text list are two ways to find one thing, a text; they fill one side of
//!    the page together. The side's order is that of `Σ w(l) / (SIDE_K + p(d,l))` over these
//!    two, and `q(d)` a document's rank in it; for the image list `q = p`.
//! 5. `v(d,l) = w(l) / (k + max(p(d,l), q(d)))`: reciprocal rank fusion's term (Cormack,
//!    Clarke and Büttcher 2009). By the linear method `v(d,l) = w(l) · x(d,l)`, no places.
//! 6. `score(d) = max v(d,l) + Σ g(v(d,l))` over the other lists that found it, with
//!    `g(v) = v² / 4 max w`, about a quarter of the step to the next place; by the linear
//!    method `g(v) = v / 100`. It decides between equals and no more.
//!
//! What follows from it:
//! - A document is judged by the list that speaks best for it. Lists that do not know it
//!   say nothing against it: a picture without text loses nothing to the keyword list, and
//!   text or metadata beside a picture never push it down.
//! - Being found by all three lists is worth less than one place, so a text that keywords and
//!   vectors both find stands level with a picture that only one list can find.
//! - The first places of each list stay near the top: a text in other words than the
//!   query's, an exact code whose vector says nothing.
//! - A better rank in any list, or one more list, never lowers a score.
//! - Between equals the text that holds a good part of the asked words goes first: an exact
//!   code before the text that its vector happens to be nearest to.
//!
//! With equal weights `k` only sets the scale of the scores, since a score comes from one
//! place; with unequal ones, a larger `k` makes the weights count for more against places.

mod place;

use std::collections::HashMap;

use crate::row::{ListKind, RowId, Scored};

pub use place::{BACKGROUND_RANK, KEYWORD_SPREAD, PLACES_KEPT, SIDE_K, SPREAD};

/// Cormack, Clarke and Büttcher's constant.
pub const DEFAULT_K: f64 = 60.0;

/// How many hits of each list are enough to tell what any document scores.
pub const DEPTH: usize = 2 * BACKGROUND_RANK;

/// One list to fuse.
#[derive(Debug, Clone, Copy)]
pub struct RankedList<'a> {
    /// Which it is; each at most once.
    pub kind: ListKind,
    /// Best first, each row once.
    pub hits: &'a [Scored],
    /// For keywords [`crate::KeywordHits::full_score`]; unused for vectors.
    pub full_score: f32,
}

/// How places or scores become a document's score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Reciprocal rank fusion with this `k`.
    Rrf {
        /// At least 0.
        k: f64,
    },
    /// Closeness to each list's best.
    Linear,
}

/// How much each list counts; 0 leaves it out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Of the keyword list.
    pub keyword: f64,
    /// Of the query against pictures.
    pub image: f64,
    /// Of the query against texts.
    pub text: f64,
}

/// A way to fuse, checked.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Fusion {
    method: Method,
    weights: Weights,
}

/// Settings that fuse nothing sensible.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum FusionError {
    /// `k` is negative or not finite.
    #[error("k is {0}; it must be a number from 0 up")]
    K(f64),
    /// A weight is negative or not finite.
    #[error("the weight of the {list:?} list is {weight}; it must be a number from 0 up")]
    Weight {
        /// Whose.
        list: ListKind,
        /// What came.
        weight: f64,
    },
}

/// One fused hit.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// The document found.
    pub row: RowId,
    /// Higher is better; the parts' contributions in their order add up to it exactly.
    pub score: f64,
    /// What each list that found it says, keyword, image, text.
    pub parts: Vec<Part>,
}

/// One list's part in a fused hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// The list.
    pub list: ListKind,
    /// The document's rank in it, from 1.
    pub rank: usize,
    /// The score the list gave: an inner product or BM25.
    pub raw_score: f32,
    /// The place it counts for, `max(p, q)`; not less than the rank.
    pub place: f64,
    /// The closeness to the list's best, `x`.
    pub closeness: f64,
    /// The list's weight.
    pub weight: f64,
    /// What it adds to the score.
    pub contribution: f64,
}

impl Fusion {
    /// Checks `k` and the weights.
    ///
    /// # Errors
    /// A negative or not finite number.
    pub fn new(method: Method, weights: Weights) -> Result<Self, FusionError> {
        let usable = |number: f64| number.is_finite() && number >= 0.0;
        if let Method::Rrf { k } = method
            && !usable(k)
        {
            return Err(FusionError::K(k));
        }
        for list in [ListKind::Keyword, ListKind::Image, ListKind::Text] {
            let weight = weights.of(list);
            if !usable(weight) {
                return Err(FusionError::Weight { list, weight });
            }
        }
        Ok(Self { method, weights })
    }

    /// How much each list counts.
    pub fn weights(&self) -> Weights {
        self.weights
    }

    /// Fuses lists, best first; ties by what holds the asked words, then by row. A row that no list of weight found is absent.
    pub fn fuse(&self, lists: &[RankedList<'_>]) -> Vec<Fused> {
        let weighed = lists
            .iter()
            .filter(|list| self.weights.of(list.kind) > 0.0)
            .copied()
            .collect::<Vec<_>>();
        let placed = place::place(&weighed, |list| self.weights.of(list));
        let mut documents: HashMap<RowId, Vec<Part>> = HashMap::new();
        for standing in placed {
            documents.entry(standing.row).or_default().push(Part {
                list: standing.list,
                rank: standing.rank,
                raw_score: standing.raw_score,
                place: standing.place,
                closeness: standing.closeness,
                weight: self.weights.of(standing.list),
                contribution: 0.0,
            });
        }
        let mut fused: Vec<Fused> = documents
            .into_iter()
            .map(|(row, parts)| self.judge(row, parts))
            .collect();
        fused.sort_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then(b.exactness().total_cmp(&a.exactness()))
                .then(a.row.cmp(&b.row))
        });
        fused
    }

    /// The best list counts, the others for their agreement.
    fn judge(&self, row: RowId, mut parts: Vec<Part>) -> Fused {
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

    /// Grows slower than the value itself, so that a list that becomes the best adds.
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
