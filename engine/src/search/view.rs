//! What a search shows of its result beside the ranking: order, counts, groups, pages.

use clipdb_index::{Order, SortKey};
use serde::{Deserialize, Serialize};

/// All that may be left out.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// By fields, instead of by score, where it has keys.
    pub order: Order,
    /// The fields whose values are counted, and how many values of each are told.
    pub facets: Vec<(String, usize)>,
    pub group_by: Option<GroupBy>,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}

/// The best hits of each value of a field; a document without a value stands alone.
#[derive(Debug, Clone)]
pub struct GroupBy {
    pub field: String,
    /// Hits of one value.
    pub limit: usize,
}

/// The last hit of a page, from which the next one goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Cursor {
    /// Of hits that are ordered by fields.
    #[serde(rename = "o")]
    Ordered(SortKey),
    /// Of hits that are ordered by score.
    #[serde(rename = "r")]
    Ranked(RankedCursor),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedCursor {
    #[serde(rename = "s")]
    pub score: f64,
    /// The rows of the page, the last ones where they are many: by the last of them that is
    /// still there the next page is found.
    #[serde(rename = "k")]
    pub rows: Vec<u64>,
    /// The hits up to here: where to look for it.
    #[serde(rename = "n")]
    pub seen: usize,
}
