//! Which row and passage each position of a segment holds.

use super::id::VectorId;
use crate::row::RowId;

/// Names by position, and positions by row.
pub(super) struct Members {
    rows: Vec<u64>,
    /// Empty when every passage is 0.
    passages: Vec<u16>,
    /// Positions in the order of their ids, where that is another order.
    sorted: Option<Vec<u32>>,
    /// The most passages that one row may have.
    most_passages: usize,
}

impl Members {
    pub(super) fn new(rows: Vec<u64>, mut passages: Vec<u16>) -> Self {
        let most_passages = passages
            .iter()
            .copied()
            .max()
            .map_or(1, |last| usize::from(last) + 1);
        if most_passages == 1 {
            passages = Vec::new();
        }
        let sorted = (!rows.is_sorted()).then(|| {
            let mut order: Vec<u32> = (0..).take(rows.len()).collect();
            order.sort_by_key(|at| rows[*at as usize]);
            order
        });
        Self {
            rows,
            passages,
            sorted,
            most_passages,
        }
    }

    pub(super) fn of(ids: impl IntoIterator<Item = VectorId>) -> Self {
        let (rows, passages) = ids.into_iter().map(|id| (id.row.0, id.passage)).unzip();
        Self::new(rows, passages)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn rows(&self) -> &[u64] {
        &self.rows
    }

    pub(super) fn most_passages(&self) -> usize {
        self.most_passages
    }

    pub(super) fn id(&self, position: usize) -> VectorId {
        VectorId {
            row: RowId(self.rows[position]),
            passage: self.passages.get(position).copied().unwrap_or(0),
        }
    }

    /// The smallest and the largest row.
    pub(super) fn span(&self) -> Option<(u64, u64)> {
        Some((
            *self.rows.get(self.nth(0))?,
            self.rows[self.nth(self.len() - 1)],
        ))
    }

    /// The positions that `row` has here.
    pub(super) fn positions(&self, row: RowId) -> impl Iterator<Item = usize> + '_ {
        let first = self.partition_point(row.0);
        (first..self.len())
            .map(|at| self.nth(at))
            .take_while(move |position| self.rows[*position] == row.0)
    }

    /// The position that is `at`-th in the order of rows.
    fn nth(&self, at: usize) -> usize {
        match &self.sorted {
            None => at,
            Some(order) => order.get(at).map_or(at, |position| *position as usize),
        }
    }

    fn partition_point(&self, row: u64) -> usize {
        match &self.sorted {
            None => self.rows.partition_point(|held| *held < row),
            Some(order) => order.partition_point(|position| self.rows[*position as usize] < row),
        }
    }
}
