//! A dense set of small numbers: documents of a segment, or ordinals of a column.

/// Bits of a word.
pub(crate) const BITS: usize = u64::BITS as usize;

/// A set of numbers below a fixed length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    /// The empty set.
    pub(crate) fn none(len: usize) -> Self {
        Self {
            words: vec![0; len.div_ceil(BITS)],
            len,
        }
    }

    /// The set of all numbers below `len`.
    pub(crate) fn all(len: usize) -> Self {
        let mut all = Self::none(len);
        all.invert();
        all
    }

    pub(crate) fn insert(&mut self, number: usize) {
        debug_assert!(number < self.len, "{number} of {}", self.len);
        self.words[number / BITS] |= 1 << (number % BITS);
    }

    pub(crate) fn contains(&self, number: usize) -> bool {
        self.words[number / BITS] & (1 << (number % BITS)) != 0
    }

    pub(crate) fn invert(&mut self) {
        self.words.iter_mut().for_each(|word| *word = !*word);
        let used = self.len % BITS;
        if used != 0
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << used) - 1;
        }
    }

    pub(crate) fn intersect(&mut self, others: &Self) {
        for (word, other) in self.words.iter_mut().zip(&others.words) {
            *word &= other;
        }
    }

    pub(crate) fn unite(&mut self, others: &Self) {
        for (word, other) in self.words.iter_mut().zip(&others.words) {
            *word |= other;
        }
    }

    /// How many numbers are in the set.
    pub(crate) fn count(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// The bits: number `n` is bit `n % 64` of word `n / 64`.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The numbers in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                (left != 0).then(|| {
                    let bit = left.trailing_zeros() as usize;
                    left &= left - 1;
                    at * BITS + bit
                })
            })
        })
    }
}
