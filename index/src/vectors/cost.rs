//! The cost model: whether a search of a segment uses its index or a scan, and how deep it follows
//! the index.
//!
//! The unit of cost is one code that a traversal compares. The constants were measured with
//! `filter_cost` (an example of this crate) on vectors of 512 dimensions; the costs of codes and of
//! full vectors grow alike with the dimension, so their ratios hold for other dimensions.

use super::native::Stage;
use super::settings::BuiltKind;

/// Cost of a code that a scan compares: a scan knows which codes follow.
const SCANNED_CODE: f64 = 0.3;

/// Cost of a full vector that a scan compares.
const SCANNED_VECTOR: f64 = 1.2;

/// Cost of ranking a candidate by its full vector.
const RANKED_VECTOR: f64 = 2.5;

/// Cost of a product code that is compared in its list.
const PROBED_CODE: f64 = 0.15;

/// A filter that accepts fewer vectors than this for each ranked vector is scanned: product codes
/// are coarse, and more distant lists would have to be read.
const CROWDED: usize = 8;

/// Traversals that measure the cost of a step in a graph, and the candidates that each keeps.
pub(super) const TRIAL_WALKS: usize = 8;
pub(super) const TRIAL_EF: usize = 256;

/// Length of the list after each stage except the first. The last is as deep as an index is
/// followed.
const DEPTHS: [usize; 5] = [128, 1024, 4096, 16_384, 65_536];

/// Parameters of the cost of a search in one segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Vectors of the segment, including removed ones.
    pub held: usize,
    /// Estimated number of vectors that may be returned; at least 1.
    pub matching: usize,
    /// Whether a scan can compare 8-bit codes.
    pub coded: bool,
    /// Whether only some rows may be returned.
    pub filtered: bool,
    /// Codes that a traversal compares for each candidate that it keeps or that the filter
    /// rejects: from 4 for vectors in dense clusters to 30 for uniformly distributed ones.
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

    /// Codes that a traversal may compare before it is abandoned: it may cost as much as a scan.
    /// That happens where the filter rejects the vectors near the query.
    pub(super) fn budget(&self) -> usize {
        self.of_scan() as usize
    }

    /// Cost of a traversal that keeps `ef` candidates that the filter accepts.
    fn of_walk(&self, ef: usize) -> f64 {
        ef as f64 / self.share() * self.compared_per_step
    }

    fn share(&self) -> f64 {
        self.matching as f64 / self.held as f64
    }

    /// Candidates that a traversal keeps for a list of `depth`, where it would keep `ef` without a
    /// filter. A filtered traversal also passes candidates that the filter rejects, so it covers a
    /// wider neighbourhood with the same number of kept candidates: fewer are enough.
    fn kept(&self, ef: usize, depth: usize) -> usize {
        let least = depth + depth / 4;
        least + (ef.saturating_sub(least) as f64 * self.share().sqrt()) as usize
    }

    /// Inverted lists to read where the filter accepts only some of their vectors.
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

/// The stages of a graph traversal up to the one that finds `count` vectors, without those that
/// cost more than a scan. A smaller `count` gives a prefix of the stages.
pub(super) fn stages(kind: BuiltKind, ef: usize, cost: &Cost, count: usize) -> Vec<Stage> {
    let first = match kind {
        // Full vectors may be read from disk.
        BuiltKind::Sq8 => 16,
        BuiltKind::Hnsw | BuiltKind::IvfPq | BuiltKind::Flat => (ef / 3).clamp(16, 32),
    };
    let mut stages = Vec::new();
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
        stages.push(Stage { ef, ranked, depth });
        if depth >= count {
            break;
        }
    }
    stages
}

/// Length of the list after each stage of a search of an inverted file.
pub(super) fn probed_depths() -> impl Iterator<Item = usize> {
    std::iter::once(32).chain(DEPTHS)
}

/// Candidates of product codes that are ranked by full vectors for a list of `depth`.
pub(super) fn ranked_of_lists(depth: usize) -> usize {
    20 * depth
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn fewer_hits_need_a_prefix_of_the_stages(
            held in 1usize..3_000_000,
            one_in in 1usize..2000,
            step in 4.0..30.0,
            ef in 1usize..600,
            counts in (1usize..100_000, 1usize..100_000),
            sq8 in any::<bool>(),
        ) {
            let kind = if sq8 { BuiltKind::Sq8 } else { BuiltKind::Hnsw };
            let cost = Cost {
                held,
                matching: (held / one_in).max(1),
                coded: true,
                filtered: one_in > 1,
                compared_per_step: step,
            };
            let (few, many) = (counts.0.min(counts.1), counts.0.max(counts.1));
            let few = stages(kind, ef, &cost, few);
            let many = stages(kind, ef, &cost, many);
            prop_assert!(many.starts_with(&few));
            for stage in &many {
                // No stage costs more than a scan, and each has enough candidates for its list.
                prop_assert!(cost.of_walk(stage.ef) < cost.of_scan());
                prop_assert!(stage.depth <= stage.ef && stage.depth <= stage.ranked);
            }
            for two in many.windows(2) {
                prop_assert!(two[0].depth < two[1].depth && two[0].ef <= two[1].ef);
            }
        }
    }
}
