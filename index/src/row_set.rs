//! Sets of rows: the result of a filter.

use roaring::{RoaringBitmap, RoaringTreemap};

use crate::row::RowId;

/// A set of rows.
///
/// A compressed bitmap (Lemire et al. 2018, "Roaring Bitmaps"): its memory depends on the rows
/// that it holds, at most about two bytes each plus 64 for every 65,536 row numbers among which
/// there is one, and not on the highest row number. Row numbers are never reused, so they grow
/// with every write.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowSet(RoaringTreemap);

impl RowSet {
    /// Adds `row`. Has no effect if the row is in the set.
    pub fn insert(&mut self, row: RowId) {
        self.0.insert(row.0);
    }

    /// Removes `row`. Has no effect if the row is not in the set.
    pub fn remove(&mut self, row: RowId) {
        self.0.remove(row.0);
    }

    /// Removes every row that is not in `others`.
    pub fn intersect(&mut self, others: &Self) {
        self.0 &= &others.0;
    }

    /// Removes every row that is in `others`.
    pub fn subtract(&mut self, others: &Self) {
        self.0 -= &others.0;
    }

    /// Whether `row` is in the set.
    pub fn contains(&self, row: RowId) -> bool {
        self.0.contains(row.0)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.0.len() as usize
    }

    /// Whether the set holds no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = RowId> + '_ {
        self.0.iter().map(RowId)
    }

    /// The rows from `first` to `last`, both inclusive, in ascending order.
    pub(crate) fn between(&self, first: u64, last: u64) -> impl Iterator<Item = RowId> + '_ {
        let mut rows = self.0.iter();
        rows.advance_to(first);
        rows.map(RowId).take_while(move |row| row.0 <= last)
    }

    /// Number of rows from `first` to `last`, both inclusive.
    pub(crate) fn count_between(&self, first: u64, last: u64) -> usize {
        let before = first.checked_sub(1).map_or(0, |end| self.0.rank(end));
        self.0.rank(last).saturating_sub(before) as usize
    }

    /// Approximate size in memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let bitmaps = self.0.bitmaps().map(|(_, bitmap)| {
            let containers = bitmap.statistics().n_containers as usize;
            bitmap.serialized_size() + CONTAINER_BYTES * containers
        });
        size_of::<Self>() + bitmaps.sum::<usize>()
    }

    /// Consumes the set and returns its rows in ascending order.
    pub fn into_rows(self) -> impl Iterator<Item = RowId> {
        self.0.into_iter().map(RowId)
    }
}

/// Memory of a container in addition to its rows: the container itself and the overhead of an
/// allocation.
const CONTAINER_BYTES: usize = 56;

impl FromIterator<RowId> for RowSet {
    fn from_iter<I: IntoIterator<Item = RowId>>(rows: I) -> Self {
        let mut rows: Vec<u64> = rows.into_iter().map(|row| row.0).collect();
        if !rows.is_sorted() {
            rows.sort_unstable();
        }
        rows.dedup();
        let bitmaps = rows.chunk_by(|a, b| a >> 32 == b >> 32).map(|part| {
            let low = part.iter().map(|row| *row as u32);
            #[expect(clippy::expect_used, reason = "the rows are sorted and unique")]
            let bitmap = RoaringBitmap::from_sorted_iter(low).expect("sorted rows");
            ((part[0] >> 32) as u32, bitmap)
        });
        Self(RoaringTreemap::from_bitmaps(bitmaps))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_the_inserted_rows(rows in prop::collection::vec(0u64..1000, 0..200), high in any::<bool>()) {
            let base = if high { (1 << 40) - 500 } else { 0 };
            let expected: BTreeSet<RowId> = rows.iter().map(|row| RowId(base + row)).collect();
            let set: RowSet = rows.iter().map(|row| RowId(base + row)).collect();
            let mut one_by_one = RowSet::default();
            rows.iter().for_each(|row| one_by_one.insert(RowId(base + row)));
            prop_assert_eq!(&set, &one_by_one);
            prop_assert_eq!(set.len(), expected.len());
            prop_assert!(set.iter().eq(expected.iter().copied()));
            prop_assert!(set.clone().into_rows().eq(expected.iter().copied()));
            for (first, last) in [(0, 2000), (100, 700), (63, 64), (500, 499)] {
                let (first, last) = (base + first, base + last);
                let within = expected.iter().copied().filter(|row| (first..=last).contains(&row.0));
                prop_assert!(set.between(first, last).eq(within.clone()));
                prop_assert_eq!(set.count_between(first, last), within.count());
            }
            let mut fewer = set.clone();
            expected.iter().take(3).for_each(|row| fewer.remove(*row));
            prop_assert!(fewer.iter().eq(expected.iter().copied().skip(3)));
            let even: RowSet = (0..500).map(|row| RowId(base + 2 * row)).collect();
            fewer.intersect(&even);
            prop_assert!(fewer.iter().eq(expected.iter().copied().skip(3).filter(|row| row.0 % 2 == 0)));
            let mut odd = set.clone();
            odd.subtract(&even);
            prop_assert!(odd.iter().eq(expected.iter().copied().filter(|row| row.0 % 2 > 0)));
            for row in (0..1100).map(|row| RowId(base + row)) {
                prop_assert_eq!(set.contains(row), expected.contains(&row));
            }
        }
    }

    #[test]
    fn memory_depends_on_the_rows_and_not_on_their_numbers() {
        // A thousand documents after 2^40 writes: one bit a row number would be 128 GiB.
        let scattered: RowSet = (0..1000).map(|at| RowId(at << 30)).collect();
        let recent: RowSet = (0..1000).map(|at| RowId((1 << 40) - at)).collect();
        assert!(
            scattered.memory_bytes() < 200_000,
            "{}",
            scattered.memory_bytes()
        );
        assert!(recent.memory_bytes() < 3000, "{}", recent.memory_bytes());
        // Never more than a few bytes over one bit a row where most row numbers are in the set.
        let dense: RowSet = (0..1 << 20).map(RowId).collect();
        assert!(
            dense.memory_bytes() < (1 << 17) + 2000,
            "{}",
            dense.memory_bytes()
        );
    }
}
