//! What to build next of a lane's stored segments.
//!
//! A graph wants to be large: a search costs about the logarithm of its size, and several
//! graphs cost the sum. So segments that only scan are built as soon as they are worth it,
//! all together, and take in every graph that is not much larger than they are: the number
//! of graphs grows with the logarithm of the vectors, and each vector is built a few times.
//! The largest graph among them is continued rather than built anew.

use std::sync::Arc;

use super::segment::Segment;
use super::settings::{BuiltKind, VectorSettings};

/// A graph is taken in by a build of at least this part of its size.
const TAKEN_IN: usize = 4;

/// So many segments of like size that scan become one.
const LIKE: usize = 4;

/// Removed vectors in five from which a segment is written anew.
const DEAD: usize = 5;

/// As many removed vectors cost nothing worth a build.
const DEAD_KEPT: usize = 256;

/// Segments to make one of.
pub(super) struct Job {
    /// If the first is continued: all of it, removed vectors too, stays in place.
    pub sources: Vec<Arc<Segment>>,
    pub continued: bool,
    pub built_as: BuiltKind,
}

/// How eager to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zeal {
    /// Keep searches fast while writes come in.
    Busy,
    /// No write came for a while: several graphs become one.
    Idle,
    /// Asked for: one segment, without what is removed unless that is little of a graph.
    Compact,
}

/// The next job, if there is any.
pub(super) fn next(
    stored: &[Arc<Segment>],
    total: usize,
    settings: &VectorSettings,
    zeal: Zeal,
) -> Option<Job> {
    if let Some(empty) = stored.iter().find(|segment| segment.len() == 0) {
        return Some(Job {
            sources: vec![Arc::clone(empty)],
            continued: false,
            built_as: BuiltKind::Flat,
        });
    }
    let kind = settings.built_as(total);
    let mut by_size: Vec<_> = stored.to_vec();
    by_size.sort_by_key(|segment| segment.len());
    let (scanned, built): (Vec<_>, Vec<_>) = by_size
        .iter()
        .cloned()
        .partition(|segment| segment.index.is_none());
    let sources = if kind != BuiltKind::Flat && sum(&scanned) >= kind.least() {
        let mut sources = scanned;
        for segment in built {
            if segment.len() > TAKEN_IN * sum(&sources) {
                break;
            }
            sources.push(segment);
        }
        sources
    } else if let Some(like) = like(&scanned) {
        like
    } else if let Some(heavy) = stored.iter().find(|segment| is_heavy(segment)) {
        vec![Arc::clone(heavy)]
    } else {
        match zeal {
            Zeal::Busy => return None,
            Zeal::Idle if kind == BuiltKind::Flat || stored.len() < 2 => return None,
            Zeal::Compact
                if stored.len() < 2 && !stored.iter().any(|one| worth_compacting(one)) =>
            {
                return None;
            }
            Zeal::Idle | Zeal::Compact => by_size,
        }
    };
    Some(job(sources, kind, zeal))
}

fn job(mut sources: Vec<Arc<Segment>>, kind: BuiltKind, zeal: Zeal) -> Job {
    let built_as = if sum(&sources) < kind.least() {
        BuiltKind::Flat
    } else {
        kind
    };
    // The largest last.
    sources.sort_by_key(|segment| segment.len());
    let may_continue = |segment: &Segment| {
        let much_dead = is_heavy(segment) || (zeal == Zeal::Compact && worth_compacting(segment));
        built_as.is_graph() && segment.kind() == built_as && !much_dead
    };
    let continued = match sources.last() {
        Some(largest) if may_continue(largest) => {
            sources.rotate_right(1);
            true
        }
        _ => false,
    };
    Job {
        sources,
        continued,
        built_as,
    }
}

/// The smallest segments, if there are several of like size.
fn like(scanned: &[Arc<Segment>]) -> Option<Vec<Arc<Segment>>> {
    let mut taken: Vec<Arc<Segment>> = Vec::new();
    for segment in scanned {
        if !taken.is_empty() && segment.len() > TAKEN_IN * sum(&taken) {
            break;
        }
        taken.push(Arc::clone(segment));
    }
    (taken.len() >= LIKE).then_some(taken)
}

fn sum(segments: &[Arc<Segment>]) -> usize {
    segments.iter().map(|segment| segment.len()).sum()
}

fn is_heavy(segment: &Segment) -> bool {
    let dead = segment.live.dead();
    dead > DEAD_KEPT && dead * DEAD >= segment.held()
}

fn worth_compacting(segment: &Segment) -> bool {
    // A graph passes by one removed vector in twenty at no cost to speak of.
    let allowed = if segment.index.is_some() {
        segment.held() / 20
    } else {
        0
    };
    segment.live.dead() > allowed
}
