//! What it costs to find a segment's vectors by its index and by a scan, which of the two a
//! search takes, and how far the index is followed.
//!
//! Costs are counted in codes that a walk compares. The constants are of `filter_cost` (an
//! example of this crate) on vectors of 512 dimensions; what codes and full vectors cost grows
//! with the dimension alike, so their ratios hold for others.

use super::native::Stretch;
use super::settings::BuiltKind;

/// A code that a scan compares: it knows beforehand which come next.
const SCANNED_CODE: f64 = 0.3;

/// A full vector that a scan compares.
const SCANNED_VECTOR: f64 = 1.2;

/// A full vector that is ranked.
const RANKED_VECTOR: f64 = 2.5;

/// A product code that is compared in its list.
const PROBED_CODE: f64 = 0.15;

/// A filter that leaves fewer than so many for each vector that is ranked is scanned: product
/// codes are coarse, and lists further away must be looked into.
const CROWDED: usize = 8;

/// Walks by which a graph shows what a step of it costs, and what each of them keeps.
pub(super) const TRIAL_WALKS: usize = 8;
pub(super) const TRIAL_EF: usize = 256;

/// How long a list is after each stretch of it but the first, as far as an index is followed.
const DEPTHS: [usize; 5] = [128, 1024, 4096, 16_384, 65_536];

/// What is known of a search in one segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Vectors that the segment holds.
    pub held: usize,
    /// About how many of them may be answered; at least 1.
    pub matching: usize,
    /// Whether a scan has 8-bit codes to go by.
    pub coded: bool,
    /// Whether only some rows may be answered.
    pub filtered: bool,
    /// Codes that a walk compares for each vector that it keeps or that may not be answered:
    /// from four where vectors lie in dense clusters to thirty where they lie anywhere.
    pub compared_per_step: f64,
}

impl Cost {
    fn of_scan(&self) -> f64 {
        let one = if self.coded {
            SCANNED_CODE
        } else {
            SCANNED_VECTOR
        };
        self.matching as f64 * one
    }

    /// Codes that a walk may compare before it is given up: as many as a scan costs. It comes to
    /// that where the filter leaves out what lies near the query.
    pub(super) fn budget(&self) -> usize {
        self.of_scan() as usize
    }

    /// Of a walk until it has kept `ef` that may be answered.
    fn of_walk(&self, ef: usize) -> f64 {
        ef as f64 / self.share() * self.compared_per_step
    }

    fn share(&self) -> f64 {
        self.matching as f64 / self.held as f64
    }

    /// How many of those that may be answered a walk keeps for a list so long, where `ef` are
    /// kept if all may. Before it has kept as many it has been at more that may not, and what is
    /// sought are not the nearest of all but as many of a wider surrounding: that is found more
    /// surely at the same width, so that fewer are enough.
    fn kept(&self, ef: usize, depth: usize) -> usize {
        let least = depth + depth / 4;
        least + (ef.saturating_sub(least) as f64 * self.share().sqrt()) as usize
    }

    /// Lists that must be looked into where only some of what they hold may be answered.
    pub(super) fn probed(&self, usual: usize, depth: usize, lists: usize) -> usize {
        let usual = usual.saturating_mul((depth / 1024).max(1));
        let enough = usual.saturating_mul(self.held).div_ceil(self.matching);
        enough.min(lists)
    }

    pub(super) fn prefers_scan_to_probing(
        &self,
        probed: usize,
        lists: usize,
        ranked: usize,
    ) -> bool {
        let compared = self.held as f64 * probed as f64 / lists.max(1) as f64;
        let of_probing = compared * PROBED_CODE + ranked as f64 * RANKED_VECTOR;
        self.of_scan() <= of_probing || (self.filtered && self.matching <= ranked * CROWDED)
    }
}

/// The stretches of a graph's list, up to that in which `count` vectors are found: none that a
/// scan does cheaper. Which those are does not depend on `count`.
pub(super) fn stretches(kind: BuiltKind, ef: usize, cost: &Cost, count: usize) -> Vec<Stretch> {
    let first = match kind {
        // Full vectors may have to be read from disk.
        BuiltKind::Sq8 => 16,
        BuiltKind::Hnsw | BuiltKind::IvfPq | BuiltKind::Flat => (ef / 3).clamp(16, 32),
    };
    let mut stretches = Vec::new();
    let deeper = DEPTHS.into_iter().filter(|depth| *depth > first);
    for depth in std::iter::once(first).chain(deeper) {
        let ef = cost.kept(ef, depth);
        let ranked = match kind {
            BuiltKind::Sq8 => 2 * depth + 16,
            _ if depth == first => (ef / 2).max(depth + 16),
            _ => ef,
        };
        if cost.of_walk(ef) >= cost.of_scan() {
            break;
        }
        stretches.push(Stretch { ef, ranked, depth });
        if depth >= count {
            break;
        }
    }
    stretches
}

/// How long the list of an inverted file is after each stretch of it.
pub(super) fn probed_depths() -> impl Iterator<Item = usize> {
    std::iter::once(32).chain(DEPTHS)
}

/// How many of what product codes propose are ranked for a list so long.
pub(super) fn ranked_of_lists(depth: usize) -> usize {
    20 * depth
}
