//! The lists that are fused, and their weights.

use crate::row::{ListKind, Scored};

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

impl Weights {
    /// The weight of one list.
    pub fn of(&self, list: ListKind) -> f64 {
        match list {
            ListKind::Keyword => self.keyword,
            ListKind::Image => self.image,
            ListKind::Text => self.text,
        }
    }

    pub(super) fn largest(&self) -> f64 {
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

/// Breaks ties: a document with a good part of the query's words comes before one that only vectors
/// found, and one with a smaller part comes after it. Words of the metadata count less than words
/// of the text, and an exact code is still a good part.
pub(super) fn exactness(keyword_closeness: Option<f64>) -> f64 {
    keyword_closeness.unwrap_or(0.25)
}
