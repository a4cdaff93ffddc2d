//! The set of documents that the total and the facets of a search count.
//!
//! | mode | counted documents | total |
//! |---|---|---|
//! | browse | those that pass the filter | exact |
//! | keyword | those that match and pass | exact |
//! | vector | those that pass and have a vector to compare with | exact |
//! | vector or keyword with a least score or confidence | those of the best 1,000 that reach it | exact, or a lower bound if deeper ones may |
//! | hybrid | the fusion of the best 1,000 of each list | top, or exact if the lists were read to their end |
//!
//! It does not depend on the requested page.

use std::sync::Arc;

use clipdb_index::RowSet;

use crate::search::query::Mode;

/// The meaning of a search's total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TotalKind {
    /// The number of all matching documents.
    Exact,
    /// A lower bound of that number.
    AtLeast,
    /// The number of ranked candidates; a vector query matches every document to some degree.
    Top,
}

/// The documents that the total and the facets count.
pub(crate) struct Counted {
    /// The rows, if they are known. `None` for a browse without a filter, which counts all rows.
    pub(crate) rows: Option<Arc<RowSet>>,
    pub(crate) total: usize,
    pub(crate) kind: TotalKind,
}

impl Counted {
    /// A known set of rows.
    pub(crate) fn exactly(rows: Arc<RowSet>) -> Self {
        Self {
            total: rows.len(),
            rows: Some(rows),
            kind: TotalKind::Exact,
        }
    }

    /// A number of rows without the rows themselves.
    pub(crate) fn number(total: usize) -> Self {
        Self {
            rows: None,
            total,
            kind: TotalKind::Exact,
        }
    }
}

/// How reading the lists ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListEnd {
    /// Every list was read to its end.
    Exhausted,
    /// A list has more hits beyond the depth that was read.
    AtDepth,
    /// A list has more hits, but those that were read last are left out by the query's least score or
    /// confidence, and so are all deeper ones.
    Cut,
}

impl ListEnd {
    pub(crate) fn of(has_more: bool, is_cut: bool) -> Self {
        match (has_more, is_cut) {
            (false, _) => Self::Exhausted,
            (true, false) => Self::AtDepth,
            (true, true) => Self::Cut,
        }
    }
}

/// The set of documents that the total and the facets of a search count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Those that pass the filter.
    Filtered,
    /// Those that match the keywords.
    Matches,
    /// Those with a vector of a searched kind.
    Vectors,
    /// The hits; the kind says how their number relates to that of all matches.
    Found(TotalKind),
}

impl Counts {
    /// `is_cut`: the query may leave hits out by their score or confidence.
    pub(crate) fn of(mode: Mode, is_cut: bool, end: ListEnd) -> Self {
        match (mode, end) {
            (Mode::Browse, _) => Self::Filtered,
            (Mode::Keyword, _) if !is_cut => Self::Matches,
            // Every vector matches to some degree.
            (Mode::Vector, _) if !is_cut => Self::Vectors,
            (Mode::Vector | Mode::Keyword, ListEnd::AtDepth) => Self::Found(TotalKind::AtLeast),
            (Mode::Vector | Mode::Keyword, ListEnd::Exhausted | ListEnd::Cut) => {
                Self::Found(TotalKind::Exact)
            }
            (Mode::Hybrid, ListEnd::Exhausted) => Self::Found(TotalKind::Exact),
            // Deeper lists would change the fused scores.
            (Mode::Hybrid, ListEnd::AtDepth | ListEnd::Cut) => Self::Found(TotalKind::Top),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: [ListEnd; 3] = [ListEnd::Exhausted, ListEnd::AtDepth, ListEnd::Cut];

    #[test]
    fn totals_count_by_mode_and_list_end() {
        use Counts::{Filtered, Found, Matches, Vectors};
        use TotalKind::{AtLeast, Exact, Top};
        // mode, whether hits may be cut off, then the counted set for lists that are exhausted, at their
        // depth, cut off
        let table = [
            (Mode::Browse, false, [Filtered; 3]),
            (Mode::Browse, true, [Filtered; 3]),
            (Mode::Keyword, false, [Matches; 3]),
            (
                Mode::Keyword,
                true,
                [Found(Exact), Found(AtLeast), Found(Exact)],
            ),
            (Mode::Vector, false, [Vectors; 3]),
            (
                Mode::Vector,
                true,
                [Found(Exact), Found(AtLeast), Found(Exact)],
            ),
            (Mode::Hybrid, false, [Found(Exact), Found(Top), Found(Top)]),
            (Mode::Hybrid, true, [Found(Exact), Found(Top), Found(Top)]),
        ];
        for (mode, is_cut, expected) in table {
            let found = ENDS.map(|end| Counts::of(mode, is_cut, end));
            assert_eq!(found, expected, "{mode:?}, cut: {is_cut}");
        }
    }

    #[test]
    fn the_end_of_lists_follows_from_depth_and_cut() {
        assert_eq!(ListEnd::of(false, false), ListEnd::Exhausted);
        assert_eq!(ListEnd::of(false, true), ListEnd::Exhausted);
        assert_eq!(ListEnd::of(true, false), ListEnd::AtDepth);
        assert_eq!(ListEnd::of(true, true), ListEnd::Cut);
    }
}
