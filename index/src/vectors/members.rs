//! The row and the passage of each position of a segment.

use super::id::VectorId;
use crate::row::RowId;
use crate::row_set::RowSet;

/// If a set has more than this many rows for each position, every position is looked up in the
/// set.
const LOOKED_UP: usize = 8;

/// Ids by position, and positions by row.
pub(super) struct Members {
    rows: Vec<u64>,
    /// Empty if every passage is 0.
    passages: Vec<u16>,
    /// Positions in the order of their rows; `None` if they already are.
    sorted: Option<Vec<u32>>,
    /// Upper bound for the passages of one row.
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

    /// The positions of `row`.
    pub(super) fn positions(&self, row: RowId) -> impl Iterator<Item = usize> + '_ {
        let first = self.partition_point(row.0);
        (first..self.len())
            .map(|at| self.nth(at))
            .take_while(move |position| self.rows[*position] == row.0)
    }

    /// The positions of the rows in a set, in the order of rows.
    pub(super) fn positions_within(&self, within: &RowSet) -> Vec<u32> {
        let Some((first, last)) = self.span() else {
            return Vec::new();
        };
        let rows = within.count_between(first, last);
        if rows / LOOKED_UP > self.len() {
            let contains = |at: &usize| within.contains(RowId(self.rows[*at]));
            let positions = (0..self.len()).map(|at| self.nth(at)).filter(contains);
            return positions.filter_map(|at| u32::try_from(at).ok()).collect();
        }
        let rows = within.between(first, last);
        match &self.sorted {
            None => self.merged(rows, |at| at),
            Some(order) => self.merged(rows, |at| order[at] as usize),
        }
    }

    /// Both sides are in the order of rows, so one pass finds all positions; `nth` is
    /// [`Members::nth`].
    fn merged(
        &self,
        within: impl Iterator<Item = RowId>,
        nth: impl Fn(usize) -> usize,
    ) -> Vec<u32> {
        let row_at = |at: usize| self.rows[nth(at)];
        let mut positions = Vec::new();
        let mut at = 0;
        for RowId(row) in within {
            at = first_from(at, self.len(), row, row_at);
            while at < self.len() && row_at(at) == row {
                positions.extend(u32::try_from(nth(at)).ok());
                at += 1;
            }
        }
        positions
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

/// The first of `from..len` whose row is at least `row`.
fn first_from(from: usize, len: usize, row: u64, row_at: impl Fn(usize) -> u64) -> usize {
    if from == len || row_at(from) >= row {
        return from;
    }
    // If every row has exactly one vector, the distance is known.
    let guess = from.saturating_add(usize::try_from(row - row_at(from)).unwrap_or(usize::MAX));
    if guess < len && row_at(guess) == row && row_at(guess - 1) < row {
        return guess;
    }
    let (mut before, mut step) = (from, 1);
    while before + step < len && row_at(before + step) < row {
        before += step;
        step *= 2;
    }
    let (mut low, mut high) = (before + 1, (before + step).min(len));
    while low < high {
        let middle = low + (high - low) / 2;
        if row_at(middle) < row {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn one_pass_finds_what_lookups_find(
            rows in prop::collection::vec((0u64..400, 0u16..3), 0..200),
            in_order in any::<bool>(),
            within in prop::collection::vec(0u64..500, 0..200),
            few in any::<bool>(),
        ) {
            let mut rows = rows;
            if few {
                // Then each is looked up.
                rows.truncate(4);
            }
            if in_order {
                rows.sort_unstable();
            }
            let ids = rows.iter().map(|(row, passage)| VectorId { row: RowId(*row), passage: *passage });
            let members = Members::of(ids);
            let within: RowSet = within.into_iter().map(RowId).collect();
            let expected: Vec<u32> = within
                .iter()
                .flat_map(|row| members.positions(row))
                .map(|position| position as u32)
                .collect();
            prop_assert_eq!(members.positions_within(&within), expected);
        }
    }
}
