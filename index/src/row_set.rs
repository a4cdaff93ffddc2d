//! Sets of rows: the result of a filter.

use std::sync::OnceLock;

use roaring::{RoaringBitmap, RoaringTreemap, bitmap};

use crate::row::RowId;

/// A set of rows.
///
/// A compressed bitmap (Lemire et al. 2018, "Roaring Bitmaps"): its memory depends on the rows
/// that it holds, at most about two bytes each plus 64 for every 65,536 row numbers among which
/// there is one, and not on the highest row number. Row numbers are never reused, so they grow
/// with every write.
#[derive(Debug, Default)]
pub struct RowSet {
    rows: RoaringTreemap,
    /// Empty until they are asked for, and again after a change.
    bits: OnceLock<Option<Bits>>,
}

/// A bit for each row number from the set's first to its last, for lookups in any order.
#[derive(Debug)]
struct Bits {
    /// A multiple of 64.
    first: u64,
    words: Vec<u64>,
}

impl Bits {
    /// The bits of rows between `first` and `last`, if `count` rows, the number of `rows` or a few
    /// less, are dense enough for them.
    fn of(rows: impl Iterator<Item = u64>, count: u64, (first, last): (u64, u64)) -> Option<Self> {
        if (last - first) / SPARSEST_BITS > count || last - first > WIDEST_BITS {
            return None;
        }
        let first = first - first % 64;
        let mut words = vec![0u64; usize::try_from((last - first) / 64 + 1).ok()?];
        for row in rows {
            let at = row - first;
            words[(at / 64) as usize] |= 1 << (at % 64);
        }
        Some(Self { first, words })
    }

    /// The same rows as a compressed bitmap.
    fn compressed(&self) -> RoaringTreemap {
        let mut bitmaps = Vec::new();
        let (mut first, mut words) = (self.first, self.words.as_slice());
        while !words.is_empty() {
            let (high, low) = split(first);
            let within = ((1u64 << 32) - u64::from(low)) / 64;
            let (part, rest) = words.split_at(words.len().min(within as usize));
            let bytes: Vec<u8> = part.iter().flat_map(|word| word.to_le_bytes()).collect();
            bitmaps.push((high, RoaringBitmap::from_lsb0_bytes(low, &bytes)));
            first = first.wrapping_add(part.len() as u64 * 64);
            words = rest;
        }
        RoaringTreemap::from_bitmaps(bitmaps)
    }

    fn contains(&self, row: u64) -> bool {
        row.checked_sub(self.first).is_some_and(|at| {
            let word = usize::try_from(at / 64)
                .ok()
                .and_then(|at| self.words.get(at));
            word.is_some_and(|word| word >> (at % 64) & 1 == 1)
        })
    }
}

impl Clone for RowSet {
    fn clone(&self) -> Self {
        Self::of(self.rows.clone())
    }
}

impl PartialEq for RowSet {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

/// Row numbers for each row of a set, up to which it has bits: two bytes for each row, as many as
/// the compressed bitmap takes.
const SPARSEST_BITS: u64 = 16;

/// The most row numbers that bits span: 256 MiB.
const WIDEST_BITS: u64 = 1 << 31;

impl RowSet {
    fn of(rows: RoaringTreemap) -> Self {
        Self {
            rows,
            bits: OnceLock::new(),
        }
    }

    fn rows_mut(&mut self) -> &mut RoaringTreemap {
        self.bits.take();
        &mut self.rows
    }

    /// Makes [`RowSet::contains`] fast for rows in any order, if the set is dense enough. The work
    /// is done once for a set that does not change.
    pub(crate) fn prepare_lookups(&self) {
        self.bits.get_or_init(|| {
            let ends = (self.rows.min()?, self.rows.max()?);
            Bits::of(self.rows.iter(), self.rows.len(), ends)
        });
    }

    /// Adds `row`. Has no effect if the row is in the set.
    pub fn insert(&mut self, row: RowId) {
        self.rows_mut().insert(row.0);
    }

    /// Removes `row`. Has no effect if the row is not in the set.
    pub fn remove(&mut self, row: RowId) {
        self.rows_mut().remove(row.0);
    }

    /// Removes every row that is not in `others`.
    pub fn intersect(&mut self, others: &Self) {
        *self.rows_mut() &= &others.rows;
    }

    /// Removes every row that is in `others`.
    pub fn subtract(&mut self, others: &Self) {
        *self.rows_mut() -= &others.rows;
    }

    /// Whether `row` is in the set.
    pub fn contains(&self, row: RowId) -> bool {
        match self.bits.get() {
            Some(Some(bits)) => bits.contains(row.0),
            _ => self.rows.contains(row.0),
        }
    }

    /// A lookup that is faster than [`RowSet::contains`] for many rows that are mostly ascending.
    pub(crate) fn lookup(&self) -> Lookup<'_> {
        self.prepare_lookups();
        Lookup {
            set: self,
            high: None,
            rows: None,
            next: None,
            last: 0,
            restarts: 0,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len() as usize
    }

    /// Whether the set holds no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = RowId> + '_ {
        self.rows.iter().map(RowId)
    }

    /// The rows from `first` to `last`, both inclusive, in ascending order.
    pub(crate) fn between(&self, first: u64, last: u64) -> impl Iterator<Item = RowId> + '_ {
        let (first_high, first_low) = split(first);
        // The iterator over all rows has `advance_to`, but it skips rows if no row of the set has
        // the upper half of `first`.
        self.rows
            .bitmaps()
            .skip_while(move |(high, _)| *high < first_high)
            .flat_map(move |(high, bitmap)| {
                let from = if high == first_high { first_low } else { 0 };
                bitmap.range(from..).map(move |low| join(high, low))
            })
            .take_while(move |row| row.0 <= last)
    }

    /// Number of rows from `first` to `last`, both inclusive.
    pub(crate) fn count_between(&self, first: u64, last: u64) -> usize {
        let before = first.checked_sub(1).map_or(0, |end| self.rows.rank(end));
        self.rows.rank(last).saturating_sub(before) as usize
    }

    /// Approximate size in memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let bitmaps = self.rows.bitmaps().map(|(_, bitmap)| {
            let containers = bitmap.statistics().n_containers as usize;
            bitmap.serialized_size() + CONTAINER_BYTES * containers
        });
        // Bits that may be added later take two bytes for each row at most.
        let bits = match self.bits.get() {
            Some(Some(bits)) => bits.words.len() * size_of::<u64>(),
            Some(None) => 0,
            None => 2 * self.len(),
        };
        size_of::<Self>() + bits + bitmaps.sum::<usize>()
    }

    /// Consumes the set and returns its rows in ascending order.
    pub fn into_rows(self) -> impl Iterator<Item = RowId> {
        self.rows.into_iter().map(RowId)
    }
}

/// Looks up rows in a set by merging both in ascending order.
pub(crate) struct Lookup<'a> {
    set: &'a RowSet,
    /// The upper half of the rows that are merged.
    high: Option<u32>,
    /// Their lower halves in the set, if there are any.
    rows: Option<bitmap::Iter<'a>>,
    /// The first lower half in the set that is not before `last`.
    next: Option<u32>,
    /// The lower half of the row that was looked up last.
    last: u32,
    restarts: usize,
}

impl Lookup<'_> {
    /// Steps over rows of the set before it is searched for the next one.
    const STEPS: usize = 16;

    /// How often a row that is not in order restarts the merge. After that, each row is looked up on
    /// its own.
    const RESTARTS: usize = 64;

    /// Whether `row` is in the set.
    pub(crate) fn contains(&mut self, row: RowId) -> bool {
        if let Some(Some(bits)) = self.set.bits.get() {
            return bits.contains(row.0);
        }
        let (high, low) = split(row.0);
        if self.high != Some(high) || low < self.last {
            if self.restarts == Self::RESTARTS {
                return self.set.contains(row);
            }
            self.restarts += 1;
            let mut bitmaps = self.set.rows.bitmaps();
            let bitmap = bitmaps.find(|(other, _)| *other == high);
            self.rows = bitmap.map(|(_, bitmap)| bitmap.range(low..));
            self.next = self.rows.as_mut().and_then(Iterator::next);
            self.high = Some(high);
        }
        self.last = low;
        let Some(rows) = &mut self.rows else {
            return false;
        };
        for _ in 0..Self::STEPS {
            if self.next.is_none_or(|next| next >= low) {
                return self.next == Some(low);
            }
            self.next = rows.next();
        }
        if self.next.is_some_and(|next| next < low) {
            rows.advance_to(low);
            self.next = rows.next();
        }
        self.next == Some(low)
    }
}

fn split(row: u64) -> (u32, u32) {
    ((row >> 32) as u32, row as u32)
}

fn join(high: u32, low: u32) -> RowId {
    RowId(u64::from(high) << 32 | u64::from(low))
}

/// Memory of a container in addition to its rows: the container itself and the overhead of an
/// allocation.
const CONTAINER_BYTES: usize = 56;

impl FromIterator<RowId> for RowSet {
    fn from_iter<I: IntoIterator<Item = RowId>>(rows: I) -> Self {
        let mut rows: Vec<u64> = rows.into_iter().map(|row| row.0).collect();
        let ends = rows.iter().min().copied().zip(rows.iter().max().copied());
        let bits = ends.and_then(|ends| Bits::of(rows.iter().copied(), rows.len() as u64, ends));
        if let Some(bits) = bits {
            return Self {
                rows: bits.compressed(),
                bits: OnceLock::from(Some(bits)),
            };
        }
        if !rows.is_sorted() {
            rows.sort_unstable();
        }
        rows.dedup();
        let bitmaps = rows
            .chunk_by(|a, b| split(*a).0 == split(*b).0)
            .map(|part| {
                let low = part.iter().map(|row| split(*row).1);
                #[expect(clippy::expect_used, reason = "the rows are sorted and unique")]
                let bitmap = RoaringBitmap::from_sorted_iter(low).expect("sorted rows");
                (split(part[0]).0, bitmap)
            });
        Self::of(RoaringTreemap::from_bitmaps(bitmaps))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_the_inserted_rows(
            rows in prop::collection::vec(0u64..1000, 0..200),
            high in any::<bool>(),
            mut looked_up in prop::collection::vec(0u64..1100, 0..300),
            ascending in any::<bool>(),
        ) {
            if ascending {
                looked_up.sort_unstable();
            }
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
            set.prepare_lookups();
            for row in (0..1100).map(|row| RowId(base + row)) {
                prop_assert_eq!(set.contains(row), expected.contains(&row));
            }
            prop_assert!(!set.contains(RowId(0)) || expected.contains(&RowId(0)));
            prop_assert!(!set.contains(RowId(u64::MAX)));
            let mut changed = set.clone();
            changed.prepare_lookups();
            changed.insert(RowId(base + 2000));
            prop_assert!(changed.contains(RowId(base + 2000)));
            changed.remove(RowId(base + 2000));
            prop_assert!(!changed.contains(RowId(base + 2000)));
            let mut lookup = set.lookup();
            for row in looked_up.iter().map(|row| RowId(base + row)) {
                prop_assert_eq!(lookup.contains(row), expected.contains(&row));
            }
        }
    }

    proptest! {
        #[test]
        fn lookups_in_a_sparse_set_find_its_rows(
            rows in prop::collection::vec(0u64..1000, 2..200),
            mut looked_up in prop::collection::vec(0u64..1100, 0..300),
            ascending in any::<bool>(),
        ) {
            const STRIDE: u64 = 1 << 24;
            if ascending {
                looked_up.sort_unstable();
            }
            let expected: BTreeSet<u64> = rows.iter().copied().collect();
            let set: RowSet = rows.iter().map(|row| RowId(row * STRIDE)).collect();
            let mut lookup = set.lookup();
            for row in looked_up {
                prop_assert_eq!(lookup.contains(RowId(row * STRIDE)), expected.contains(&row));
                prop_assert!(!lookup.contains(RowId(row * STRIDE + 1)));
            }
        }
    }

    #[test]
    fn dense_rows_are_gathered_in_any_order_across_bitmaps() {
        for rows in [
            vec![7],
            vec![(1 << 32) - 1, 1 << 32, (1 << 32) - 65, (1 << 32) - 1],
            ((3 << 32) - 100_000..(3 << 32) + 100_000).rev().collect(),
            (65_536 - 64..65_536).collect(),
        ] {
            let set: RowSet = rows.iter().copied().map(RowId).collect();
            assert!(set.bits.get().is_some_and(Option::is_some));
            let expected: BTreeSet<u64> = rows.into_iter().collect();
            assert!(set.rows.iter().eq(expected.iter().copied()));
            assert_eq!(set.len(), expected.len());
            assert!(expected.iter().all(|row| set.contains(RowId(*row))));
        }
    }

    #[test]
    fn ranges_begin_between_bitmaps() {
        // No row has the upper half of the range's beginning.
        let set: RowSet = [5, (7 << 32) + 3, (7 << 32) + 200]
            .map(RowId)
            .into_iter()
            .collect();
        let found: Vec<u64> = set
            .between((6 << 32) + 100, u64::MAX)
            .map(|row| row.0)
            .collect();
        assert_eq!(found, [(7 << 32) + 3, (7 << 32) + 200]);
        assert_eq!(set.count_between((6 << 32) + 100, (7 << 32) + 100), 1);
        let mut lookup = set.lookup();
        for (row, expected) in [
            (5, true),
            ((6 << 32) + 5, false),
            ((7 << 32) + 3, true),
            (5, true),
        ] {
            assert_eq!(lookup.contains(RowId(row)), expected, "{row}");
        }
    }

    #[test]
    fn memory_depends_on_the_rows_and_not_on_their_numbers() {
        // A thousand documents after 2^40 writes: one bit a row number would be 128 GiB.
        let scattered: RowSet = (0..1000).map(|at| RowId(at << 30)).collect();
        let recent: RowSet = (0..1000).map(|at| RowId((1 << 40) - at)).collect();
        assert!(
            scattered.memory_bytes() < 400_000,
            "{}",
            scattered.memory_bytes()
        );
        assert!(recent.memory_bytes() < 6000, "{}", recent.memory_bytes());
        // Never more than a few bytes over one bit a row where most row numbers are in the set.
        let dense: RowSet = (0..1 << 20).map(RowId).collect();
        assert!(
            dense.memory_bytes() < 2 * (1 << 17) + 4000,
            "{}",
            dense.memory_bytes()
        );
    }
}
