//! Collects all rows that a keyword query matches, unranked.

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::Column;
use tantivy::{DocId, Score, SegmentOrdinal, SegmentReader};

use crate::columns::ROW;
use crate::row::RowId;
use crate::row_set::RowSet;

/// Collects the rows whose score is at least `least_score`.
pub(super) struct Matching {
    pub(super) least_score: Option<Score>,
}

pub(super) struct SegmentMatching {
    least_score: Option<Score>,
    rows: Column<u64>,
    found: Vec<RowId>,
}

impl Collector for Matching {
    type Fruit = RowSet;
    type Child = SegmentMatching;

    fn for_segment(
        &self,
        _: SegmentOrdinal,
        segment: &SegmentReader,
    ) -> tantivy::Result<SegmentMatching> {
        Ok(SegmentMatching {
            least_score: self.least_score,
            rows: segment.fast_fields().u64(ROW)?,
            found: Vec::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        self.least_score.is_some()
    }

    fn merge_fruits(&self, found: Vec<Vec<RowId>>) -> tantivy::Result<RowSet> {
        Ok(found.into_iter().flatten().collect())
    }
}

impl SegmentCollector for SegmentMatching {
    type Fruit = Vec<RowId>;

    fn collect(&mut self, document: DocId, score: Score) {
        if self.least_score.is_none_or(|least| score >= least) {
            self.found.push(RowId(self.rows.values.get_val(document)));
        }
    }

    fn harvest(self) -> Vec<RowId> {
        self.found
    }
}
