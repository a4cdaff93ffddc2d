//! A set of rows: what a filter leaves, in the form that a scan asks for membership.

use crate::row::RowId;

const BITS: u64 = u64::BITS as u64;

/// A set of rows, as one bit for each row up to the highest: keys are given out in order,
/// so the bits are dense, and a lookup is one load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowSet {
    words: Vec<u64>,
    len: usize,
}

impl RowSet {
    /// Adds `row`; adding it twice is no change.
    pub fn insert(&mut self, row: RowId) {
        let (word, bit) = place(row);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.len += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    /// Takes `row` out, if it is there.
    pub fn remove(&mut self, row: RowId) {
        if self.contains(row) {
            let (word, bit) = place(row);
            self.words[word] &= !bit;
            self.len -= 1;
        }
    }

    /// Keeps what is in `others`, too.
    pub fn keep(&mut self, others: &Self) {
        self.words.truncate(others.words.len());
        self.len = 0;
        for (word, other) in self.words.iter_mut().zip(&others.words) {
            *word &= other;
            self.len += word.count_ones() as usize;
        }
    }

    /// Takes out what is in `others`.
    pub fn leave_out(&mut self, others: &Self) {
        self.len = 0;
        for (at, word) in self.words.iter_mut().enumerate() {
            *word &= !others.words.get(at).copied().unwrap_or(0);
            self.len += word.count_ones() as usize;
        }
    }

    /// Whether `row` is in it.
    pub fn contains(&self, row: RowId) -> bool {
        let (word, bit) = place(row);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = RowId> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                (left != 0).then(|| {
                    let bit = u64::from(left.trailing_zeros());
                    left &= left - 1;
                    RowId(at as u64 * BITS + bit)
                })
            })
        })
    }

    /// The rows from `first` to `last`, ascending.
    pub(crate) fn between(&self, first: u64, last: u64) -> impl Iterator<Item = RowId> + '_ {
        let word_of = |row: u64| usize::try_from(row / BITS).unwrap_or(usize::MAX);
        let to = word_of(last).saturating_add(1).min(self.words.len());
        let from = word_of(first).min(to);
        (from..to)
            .flat_map(move |at| {
                let mut left = self.words[at];
                std::iter::from_fn(move || {
                    (left != 0).then(|| {
                        let bit = u64::from(left.trailing_zeros());
                        left &= left - 1;
                        RowId(at as u64 * BITS + bit)
                    })
                })
            })
            .skip_while(move |row| row.0 < first)
            .take_while(move |row| row.0 <= last)
    }

    /// How many rows there are from `first` to `last`, give or take those of a word at each end.
    pub(crate) fn about_between(&self, first: u64, last: u64) -> usize {
        let word_of = |row: u64| usize::try_from(row / BITS).unwrap_or(usize::MAX);
        let to = word_of(last).saturating_add(1).min(self.words.len());
        let words = &self.words[word_of(first).min(to)..to];
        words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Bytes of memory that it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }

    /// The rows, ascending, as an iterator of its own.
    pub fn into_rows(self) -> impl Iterator<Item = RowId> {
        let last = self.words.len() as u64 * BITS;
        (0..last).map(RowId).filter(move |row| self.contains(*row))
    }

    /// The bits themselves, row `r` in bit `r % 64` of word `r / 64`: for a scan in C++.
    pub fn words(&self) -> &[u64] {
        &self.words
    }
}

impl FromIterator<RowId> for RowSet {
    fn from_iter<I: IntoIterator<Item = RowId>>(rows: I) -> Self {
        let mut set = Self::default();
        rows.into_iter().for_each(|row| set.insert(row));
        set
    }
}

fn place(row: RowId) -> (usize, u64) {
    ((row.0 / BITS) as usize, 1 << (row.0 % BITS))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_what_was_put_in(rows in prop::collection::vec(0u64..1000, 0..200)) {
            let expected: BTreeSet<RowId> = rows.iter().copied().map(RowId).collect();
            let set: RowSet = rows.into_iter().map(RowId).collect();
            prop_assert_eq!(set.len(), expected.len());
            prop_assert!(set.iter().eq(expected.iter().copied()));
            prop_assert!(set.clone().into_rows().eq(expected.iter().copied()));
            for (first, last) in [(0, 2000), (100, 700), (63, 64), (500, 499)] {
                let within = expected.iter().copied().filter(|row| (first..=last).contains(&row.0));
                prop_assert!(set.between(first, last).eq(within.clone()));
                prop_assert!(first > last || set.about_between(first, last) >= within.count());
            }
            let mut fewer = set.clone();
            expected.iter().take(3).for_each(|row| fewer.remove(*row));
            prop_assert!(fewer.iter().eq(expected.iter().copied().skip(3)));
            let even: RowSet = (0..500).map(|row| RowId(2 * row)).collect();
            fewer.keep(&even);
            prop_assert!(fewer.iter().eq(expected.iter().copied().skip(3).filter(|row| row.0 % 2 == 0)));
            prop_assert_eq!(fewer.len(), fewer.iter().count());
            let mut odd = set.clone();
            odd.leave_out(&even);
            prop_assert!(odd.iter().eq(expected.iter().copied().filter(|row| row.0 >= 1000 || row.0 % 2 > 0)));
            prop_assert_eq!(odd.len(), odd.iter().count());
            for row in (0..1100).map(RowId) {
                prop_assert_eq!(set.contains(row), expected.contains(&row));
            }
        }
    }
}
