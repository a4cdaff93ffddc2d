//! How a search presents its hits: order, facets, groups and pages.

use clipdb_index::{Order, SortKey};
use serde::{Deserialize, Serialize};

/// How a search presents its hits; every part is optional.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The fields to order by; without any, hits are ordered by score.
    pub order: Order,
    /// The fields whose values are counted, and the most values to return of each.
    pub facets: Vec<(String, usize)>,
    /// How hits are grouped; `None`: not at all.
    pub group_by: Option<GroupBy>,
    /// The end of the previous page; `None`: the page starts at the query's offset.
    pub cursor: Option<Cursor>,
}

/// Groups hits by the value of a field; a document without a value is its own group.
#[derive(Debug, Clone)]
pub struct GroupBy {
    /// The path of the field.
    pub field: String,
    /// The most hits of one group.
    pub limit: usize,
}

/// The end of a page, from which the next page continues.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Cursor {
    /// The sort key of the last hit, if hits are ordered by fields.
    #[serde(rename = "o")]
    Ordered(SortKey),
    /// The end of a page of hits that are ordered by score.
    #[serde(rename = "r")]
    Ranked(RankedCursor),
}

/// The end of a page of hits that are ordered by score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedCursor {
    /// The score of the last hit.
    #[serde(rename = "s")]
    pub score: f64,
    /// The last rows of the page, at most 100: the next page follows the last one that still exists.
    #[serde(rename = "k")]
    pub rows: Vec<u64>,
    /// The number of hits up to the end of the page, which is where to look for these rows.
    #[serde(rename = "n")]
    pub seen: usize,
}
