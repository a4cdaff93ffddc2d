//! The segments that a search runs over, one lane for each kind of vectors.
//!
//! A picture of them that never changes, but for the bits of what is removed: a search takes
//! it and keeps it, a write or a finished build puts another in its place.

use std::sync::Arc;

use super::id::VectorId;
use super::segment::Segment;
use crate::row::{RowId, VectorKind};

#[derive(Clone, Default)]
pub(super) struct Lanes {
    pub images: Lane,
    pub texts: Lane,
}

#[derive(Clone, Default)]
pub(super) struct Lane {
    /// In memory; the latest takes in what comes.
    pub growing: Vec<Arc<Segment>>,
    /// In memory, on their way to disk.
    pub frozen: Vec<Arc<Segment>>,
    /// On disk.
    pub stored: Vec<Arc<Segment>>,
}

impl Lanes {
    pub(super) fn of(&self, kind: VectorKind) -> &Lane {
        match kind {
            VectorKind::Image => &self.images,
            VectorKind::Text => &self.texts,
        }
    }

    pub(super) fn of_mut(&mut self, kind: VectorKind) -> &mut Lane {
        match kind {
            VectorKind::Image => &mut self.images,
            VectorKind::Text => &mut self.texts,
        }
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.images.segments().chain(self.texts.segments())
    }

    /// Sends what is growing on its way to disk.
    pub(super) fn freeze(&mut self) {
        for lane in [&mut self.images, &mut self.texts] {
            lane.frozen.append(&mut lane.growing);
        }
    }

    /// The rows that have a vector, ascending, each once.
    pub(super) fn rows(&self) -> Vec<RowId> {
        let mut rows: Vec<RowId> = self
            .segments()
            .flat_map(|segment| {
                segment
                    .live_positions()
                    .map(|at| segment.members.id(at).row)
            })
            .collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }
}

impl Lane {
    pub(super) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.stored.iter().chain(&self.frozen).chain(&self.growing)
    }

    /// Vectors that can be found.
    pub(super) fn len(&self) -> usize {
        self.segments().map(|segment| segment.len()).sum()
    }

    pub(super) fn contains(&self, row: RowId) -> bool {
        self.segments().any(|segment| segment.contains(row))
    }

    /// Vectors in memory that are not on their way to disk.
    pub(super) fn growing_vectors(&self) -> usize {
        self.growing.iter().map(|segment| segment.held()).sum()
    }

    /// Takes in new vectors. Segments of like size are joined, so that there are few, and
    /// each vector is copied a few times at most.
    pub(super) fn grow(&mut self, dim: usize, vectors: &[(VectorId, &[f32])]) {
        if vectors.is_empty() {
            return;
        }
        let mut latest = Arc::new(Segment::growing(dim, vectors));
        while let Some(before) = self.growing.pop() {
            if before.held() > 2 * latest.held() {
                self.growing.push(before);
                break;
            }
            latest = Arc::new(Segment::joined(dim, &[before, latest]));
        }
        self.growing.push(latest);
    }

    /// Puts `target` in the place of `sources`, wherever they are.
    pub(super) fn replace(&mut self, sources: &[Arc<Segment>], target: Option<Arc<Segment>>) {
        let other =
            |segment: &Arc<Segment>| !sources.iter().any(|source| Arc::ptr_eq(source, segment));
        for segments in [&mut self.growing, &mut self.frozen, &mut self.stored] {
            segments.retain(other);
        }
        self.stored.extend(target);
    }
}
