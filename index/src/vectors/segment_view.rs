//! An immutable snapshot of a store's segments, one list for each kind of vectors.
//!
//! Only the bits of removed positions change in it. A search keeps the snapshot that it started
//! with; a write or a finished build replaces the store's current one.

use std::sync::Arc;

use super::id::VectorId;
use super::segment::Segment;
use crate::row::{RowId, VectorKind};

#[derive(Clone, Default)]
pub(super) struct SegmentView {
    pub images: SegmentList,
    pub texts: SegmentList,
}

#[derive(Clone, Default)]
pub(super) struct SegmentList {
    /// In memory; the last one is merged with new vectors.
    pub growing: Vec<Arc<Segment>>,
    /// In memory, waiting to be written to disk.
    pub frozen: Vec<Arc<Segment>>,
    /// On disk.
    pub stored: Vec<Arc<Segment>>,
}

impl SegmentView {
    pub(super) fn of(&self, kind: VectorKind) -> &SegmentList {
        match kind {
            VectorKind::Image => &self.images,
            VectorKind::Text => &self.texts,
        }
    }

    pub(super) fn of_mut(&mut self, kind: VectorKind) -> &mut SegmentList {
        match kind {
            VectorKind::Image => &mut self.images,
            VectorKind::Text => &mut self.texts,
        }
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.images.segments().chain(self.texts.segments())
    }

    /// Marks all growing segments as waiting to be written.
    pub(super) fn freeze(&mut self) {
        for list in [&mut self.images, &mut self.texts] {
            list.frozen.append(&mut list.growing);
        }
    }

    /// The rows that have a live vector, ascending and unique.
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

impl SegmentList {
    pub(super) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.stored.iter().chain(&self.frozen).chain(&self.growing)
    }

    /// Number of live vectors.
    pub(super) fn len(&self) -> usize {
        self.segments().map(|segment| segment.len()).sum()
    }

    pub(super) fn contains(&self, row: RowId) -> bool {
        self.segments().any(|segment| segment.contains(row))
    }

    /// Vectors in growing segments, including removed ones.
    pub(super) fn growing_vectors(&self) -> usize {
        self.growing.iter().map(|segment| segment.held()).sum()
    }

    /// Adds new vectors. Segments of similar size are joined, so there are few of them and each
    /// vector is copied a few times at most.
    pub(super) fn append(&mut self, dim: usize, vectors: &[(VectorId, &[f32])]) {
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

    /// Replaces `sources`, in whichever state they are, by the stored segment `target`.
    pub(super) fn replace(&mut self, sources: &[Arc<Segment>], target: Option<Arc<Segment>>) {
        let other =
            |segment: &Arc<Segment>| !sources.iter().any(|source| Arc::ptr_eq(source, segment));
        for segments in [&mut self.growing, &mut self.frozen, &mut self.stored] {
            segments.retain(other);
        }
        self.stored.extend(target);
    }
}
