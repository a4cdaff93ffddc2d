//! Makes one segment of several: writes segments in memory to disk, merges segments on disk and
//! builds their indexes.

use std::path::Path;
use std::sync::Arc;

use super::entry::{Entry, IndexEntry};
use super::files::SegmentFiles;
use super::merge_policy::{MergeJob, MergeMode};
use super::native::{BaseGraph, GraphShape, ListsShape, NativeIndex};
use super::segment::{BuiltIndex, Segment};
use super::segment_writer::{NewIndex, SegmentWriter, write_codes, write_index};
use super::settings::{BuiltKind, VectorSettings};
use crate::error::IndexError;

/// A segment that was made of others, and where each of its vectors comes from.
pub(super) struct BuildOutput {
    pub segment: Segment,
    pub entry: Entry,
    /// For each position its source and the position there.
    origins: Vec<(u32, u32)>,
}

impl BuildOutput {
    /// Applies removals that its sources have seen since they were copied.
    pub(super) fn apply_removals(&mut self, sources: &[Arc<Segment>]) {
        for (position, (source, at)) in self.origins.iter().enumerate() {
            if !sources[*source as usize].live.contains(*at as usize) {
                self.segment.live.remove(position);
            }
        }
        self.entry.dead = self.segment.live.removed();
    }
}

/// Copies the live vectors of `sources` to a new segment on disk in the order of their ids;
/// `None` if there are none. In [`MergeMode::Extend`] all vectors of the first source come first
/// and keep their positions.
pub(super) fn copy(
    files: SegmentFiles<'_>,
    dim: usize,
    sources: &[Arc<Segment>],
    mode: MergeMode,
) -> Result<Option<BuildOutput>, IndexError> {
    let mut origins: Vec<(u32, u32)> = Vec::new();
    let mut ordered = Vec::new();
    for (source, segment) in (0u32..).zip(sources) {
        if mode == MergeMode::Extend && source == 0 {
            origins.extend((0u32..).take(segment.held()).map(|at| (0, at)));
        } else {
            ordered.extend(
                segment.live_positions().filter_map(|at| {
                    Some((segment.members.id(at), source, u32::try_from(at).ok()?))
                }),
            );
        }
    }
    ordered.sort_unstable();
    origins.extend(ordered.into_iter().map(|(_, source, at)| (source, at)));
    if origins.is_empty() {
        return Ok(None);
    }
    let mut writer = SegmentWriter::create(files.folder, files.number)?;
    let vector_bytes = dim * size_of::<f32>();
    for (source, at) in &origins {
        let segment = &sources[*source as usize];
        let at = *at as usize;
        let bytes = &segment.vectors.as_bytes()[at * vector_bytes..(at + 1) * vector_bytes];
        writer.push(segment.members.id(at), bytes)?;
    }
    let (segment, entry) = writer.finish(dim)?;
    Ok(Some(BuildOutput {
        segment,
        entry,
        origins,
    }))
}

/// Builds segments of one store.
pub(super) struct Builder<'a> {
    pub folder: &'a Path,
    pub dim: usize,
    pub settings: &'a VectorSettings,
    /// Gets the number of vectors done and cancels the build by returning false.
    pub record_progress: &'a mut dyn FnMut(usize) -> bool,
}

impl Builder<'_> {
    /// Does a job up to the point where its result can replace its sources; `None` if they hold
    /// no live vectors.
    pub(super) fn run(
        &mut self,
        number: u64,
        job: &MergeJob,
    ) -> Result<Option<BuildOutput>, IndexError> {
        let files = SegmentFiles::new(self.folder, number);
        let Some(mut output) = copy(files, self.dim, &job.sources, job.mode)? else {
            return Ok(None);
        };
        let base = match &job.sources[..] {
            [first, ..] if job.mode == MergeMode::Extend => first.number.map(|first_number| {
                let path = SegmentFiles::new(self.folder, first_number).index();
                (path, first.held())
            }),
            _ => None,
        };
        let base = base.as_ref().map(|(path, count)| BaseGraph {
            path,
            count: *count,
        });
        if let Some((index, entry)) = self.index(&output.segment, job.built_as, base)? {
            output.segment = output.segment.with_index(index);
            output.entry.index = Some(entry);
        }
        Ok(Some(output))
    }

    /// Builds and writes the index of a stored segment; `None` for one that is scanned.
    pub(super) fn index(
        &mut self,
        segment: &Segment,
        kind: BuiltKind,
        base: Option<BaseGraph<'_>>,
    ) -> Result<Option<(BuiltIndex, IndexEntry)>, IndexError> {
        let Some(number) = segment.number else {
            return Ok(None);
        };
        let files = SegmentFiles::new(self.folder, number);
        let vectors = || Arc::clone(&segment.vectors);
        let index = match kind {
            BuiltKind::Flat => return Ok(None),
            BuiltKind::Hnsw | BuiltKind::Sq8 => {
                let shape = GraphShape {
                    links: self.settings.m,
                    ef_construction: self.settings.ef_construction,
                };
                let encoded = write_codes(files, self.dim, &segment.vectors)?;
                let codes = Arc::clone(&encoded.codes);
                let progress = &mut *self.record_progress;
                NewIndex {
                    native: NativeIndex::build_graph(
                        vectors(),
                        codes,
                        self.dim,
                        shape,
                        base,
                        progress,
                    )?,
                    kind,
                    lists: 0,
                    encoded: Some(encoded),
                }
            }
            BuiltKind::IvfPq => {
                let shape = ListsShape {
                    lists: self.settings.lists(segment.held()),
                    subquantizers: self.settings.subquantizers(self.dim),
                };
                let progress = &mut *self.record_progress;
                NewIndex {
                    native: NativeIndex::build_lists(vectors(), self.dim, shape, progress)?,
                    kind,
                    lists: shape.lists,
                    encoded: None,
                }
            }
        };
        write_index(files, self.dim, vectors(), index).map(Some)
    }
}
