//! The positions of a segment that are not removed. Searches read the bits while removals clear
//! them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const BITS: usize = u64::BITS as usize;

pub(super) struct Live {
    words: Box<[AtomicU64]>,
    len: usize,
    removed: AtomicUsize,
}

impl Live {
    /// All `len` positions live.
    pub(super) fn all(len: usize) -> Self {
        let mut words: Vec<AtomicU64> = (0..len.div_ceil(BITS))
            .map(|_| AtomicU64::new(u64::MAX))
            .collect();
        if let Some(last) = words.last_mut()
            && !len.is_multiple_of(BITS)
        {
            *last.get_mut() = (1 << (len % BITS)) - 1;
        }
        Self {
            words: words.into(),
            len,
            removed: AtomicUsize::new(0),
        }
    }

    /// From the words of [`Live::to_words`]; `None` if they have another length.
    pub(super) fn from_words(words: &[u64], len: usize) -> Option<Self> {
        let live = Self::all(len);
        if words.len() != live.words.len() {
            return None;
        }
        let mut left = 0;
        for (ours, theirs) in live.words.iter().zip(words) {
            let kept = ours.load(Ordering::Relaxed) & theirs;
            ours.store(kept, Ordering::Relaxed);
            left += kept.count_ones() as usize;
        }
        live.removed.store(len - left, Ordering::Relaxed);
        Some(live)
    }

    pub(super) fn to_words(&self) -> Vec<u64> {
        self.words
            .iter()
            .map(|word| word.load(Ordering::Relaxed))
            .collect()
    }

    pub(super) fn contains(&self, position: usize) -> bool {
        self.words[position / BITS].load(Ordering::Relaxed) >> (position % BITS) & 1 == 1
    }

    /// Removes the position; returns whether it was live.
    pub(super) fn remove(&self, position: usize) -> bool {
        let bit = 1 << (position % BITS);
        let before = self.words[position / BITS].fetch_and(!bit, Ordering::Relaxed);
        let was = before & bit != 0;
        self.removed.fetch_add(usize::from(was), Ordering::Relaxed);
        was
    }

    pub(super) fn removed(&self) -> usize {
        self.removed.load(Ordering::Relaxed)
    }

    pub(super) fn len(&self) -> usize {
        self.len - self.removed()
    }

    /// The bits; `None` where all are set and a search need not read them.
    pub(super) fn bits(&self) -> Option<&[AtomicU64]> {
        (self.removed() > 0).then_some(&self.words)
    }
}
