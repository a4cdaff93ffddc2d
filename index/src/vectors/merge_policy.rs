//! Decides which segments on disk to build or merge next.
//!
//! The cost of a graph search grows with the logarithm of the graph's size, and several graphs
//! cost the sum, so graphs should be large. Segments without an index are merged and built as
//! soon as they hold enough vectors, together with every graph that is not much larger: the
//! number of graphs grows with the logarithm of the number of vectors, and each vector is built a
//! few times. The largest graph of a merge is extended rather than rebuilt.

use std::sync::Arc;

use super::segment::Segment;
use super::settings::{BuiltKind, VectorSettings};

/// A merge includes a graph that is at most this many times larger than the other sources.
const SIZE_RATIO: usize = 4;

/// This many unindexed segments of similar size become one.
const SIMILAR_SEGMENTS: usize = 4;

/// A segment is rewritten once one in this many of its vectors is removed.
const REMOVED_SHARE: usize = 5;

/// Up to this many removed vectors cost too little to rewrite a segment.
const REMOVED_KEPT: usize = 256;

/// Segments to merge into one.
pub(super) struct MergeJob {
    pub sources: Vec<Arc<Segment>>,
    pub mode: MergeMode,
    pub built_as: BuiltKind,
}

/// How the vectors of the sources are ordered in the merged segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MergeMode {
    /// All live vectors in the order of their ids.
    Rewrite,
    /// All vectors of the first source keep their positions, including removed ones, so that its
    /// graph can be extended. Those of the others follow.
    Extend,
}

/// How eagerly segments are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MergeUrgency {
    /// Writes come in: only merges that keep searches fast.
    Busy,
    /// No write came for a while: several graphs become one.
    Idle,
    /// Compaction was requested: one segment, without removed vectors unless these are few.
    Compact,
}

/// The next job, if there is one. `total` is the number of live vectors of the kind, on disk or
/// not.
pub(super) fn next_job(
    stored: &[Arc<Segment>],
    total: usize,
    settings: &VectorSettings,
    urgency: MergeUrgency,
) -> Option<MergeJob> {
    if let Some(empty) = stored.iter().find(|segment| segment.len() == 0) {
        return Some(MergeJob {
            sources: vec![Arc::clone(empty)],
            mode: MergeMode::Rewrite,
            built_as: BuiltKind::Flat,
        });
    }
    let kind = settings.built_as(total);
    let mut by_size: Vec<_> = stored.to_vec();
    by_size.sort_by_key(|segment| segment.len());
    let (unindexed, indexed): (Vec<_>, Vec<_>) = by_size
        .iter()
        .cloned()
        .partition(|segment| segment.index.is_none());
    let sources = if kind != BuiltKind::Flat && total_len(&unindexed) >= kind.least() {
        let mut sources = unindexed;
        for segment in indexed {
            if segment.len() > SIZE_RATIO * total_len(&sources) {
                break;
            }
            sources.push(segment);
        }
        sources
    } else if let Some(similar) = similar_sizes(&unindexed) {
        similar
    } else if let Some(segment) = stored.iter().find(|segment| has_many_removed(segment)) {
        vec![Arc::clone(segment)]
    } else {
        match urgency {
            MergeUrgency::Busy => return None,
            MergeUrgency::Idle if kind == BuiltKind::Flat || stored.len() < 2 => return None,
            MergeUrgency::Compact
                if stored.len() < 2 && !stored.iter().any(|one| is_worth_compacting(one)) =>
            {
                return None;
            }
            MergeUrgency::Idle | MergeUrgency::Compact => by_size,
        }
    };
    Some(merge(sources, kind, urgency))
}

fn merge(mut sources: Vec<Arc<Segment>>, kind: BuiltKind, urgency: MergeUrgency) -> MergeJob {
    let built_as = if total_len(&sources) < kind.least() {
        BuiltKind::Flat
    } else {
        kind
    };
    // The largest last.
    sources.sort_by_key(|segment| segment.len());
    let may_extend = |segment: &Segment| {
        let rewrite = has_many_removed(segment)
            || (urgency == MergeUrgency::Compact && is_worth_compacting(segment));
        built_as.is_graph() && segment.kind() == built_as && !rewrite
    };
    let mode = match sources.last() {
        Some(largest) if may_extend(largest) => {
            sources.rotate_right(1);
            MergeMode::Extend
        }
        _ => MergeMode::Rewrite,
    };
    MergeJob {
        sources,
        mode,
        built_as,
    }
}

/// The smallest segments, if several have a similar size.
fn similar_sizes(unindexed: &[Arc<Segment>]) -> Option<Vec<Arc<Segment>>> {
    let mut taken: Vec<Arc<Segment>> = Vec::new();
    for segment in unindexed {
        if !taken.is_empty() && segment.len() > SIZE_RATIO * total_len(&taken) {
            break;
        }
        taken.push(Arc::clone(segment));
    }
    (taken.len() >= SIMILAR_SEGMENTS).then_some(taken)
}

fn total_len(segments: &[Arc<Segment>]) -> usize {
    segments.iter().map(|segment| segment.len()).sum()
}

fn has_many_removed(segment: &Segment) -> bool {
    let removed = segment.live.removed();
    removed > REMOVED_KEPT && removed * REMOVED_SHARE >= segment.held()
}

fn is_worth_compacting(segment: &Segment) -> bool {
    // A graph search skips one removed vector in twenty at almost no cost.
    let allowed = if segment.index.is_some() {
        segment.held() / 20
    } else {
        0
    };
    segment.live.removed() > allowed
}
