//! Making one segment of several: the seal of what grew in memory, and the builds of what
//! lies on disk.

use std::path::Path;
use std::sync::Arc;

use super::files::{self, Entry, Writer};
use super::native::{GraphShape, ListsShape, NativeIndex};
use super::plan::Job;
use super::segment::Segment;
use super::settings::{BuiltKind, VectorSettings};
use crate::error::IndexError;

/// A segment that was made of others, and where each of its vectors comes from.
pub(super) struct Made {
    pub segment: Segment,
    pub entry: Entry,
    /// For each position its source and the position there.
    origins: Vec<(u32, u32)>,
}

impl Made {
    /// Takes over removals that its sources have seen since they were copied.
    pub(super) fn take_over_removals(&mut self, sources: &[Arc<Segment>]) {
        for (position, (source, at)) in self.origins.iter().enumerate() {
            if !sources[*source as usize].live.contains(*at as usize) {
                self.segment.live.kill(position);
            }
        }
        self.entry.dead = self.segment.live.dead();
    }
}

/// Copies the live vectors of `sources`, in the order of their ids, to a new segment on disk;
/// `None` if there are none. With `first_whole` all of the first come before, as they lie.
pub(super) fn copy(
    folder: &Path,
    dim: usize,
    number: u64,
    sources: &[Arc<Segment>],
    first_whole: bool,
) -> Result<Option<Made>, IndexError> {
    let mut origins: Vec<(u32, u32)> = Vec::new();
    let mut ordered = Vec::new();
    for (source, segment) in (0u32..).zip(sources) {
        if first_whole && source == 0 {
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
    let mut writer = Writer::create(folder, number)?;
    let vector_bytes = dim * size_of::<f32>();
    for (source, at) in &origins {
        let segment = &sources[*source as usize];
        let at = *at as usize;
        let bytes = &segment.vectors.as_bytes()[at * vector_bytes..(at + 1) * vector_bytes];
        writer.push(segment.members.id(at), bytes)?;
    }
    let (segment, entry) = writer.finish(dim)?;
    Ok(Some(Made {
        segment,
        entry,
        origins,
    }))
}

/// Does a job up to the point where its result can take its sources' place.
pub(super) fn run(
    folder: &Path,
    dim: usize,
    number: u64,
    job: &Job,
    settings: &VectorSettings,
    go_on: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Made>, IndexError> {
    let Some(mut made) = copy(folder, dim, number, &job.sources, job.continued)? else {
        return Ok(None);
    };
    let base = match &job.sources[..] {
        [first, ..] if job.continued => first
            .number
            .map(|first_number| (files::index_path(folder, first_number), first.held())),
        _ => None,
    };
    let base = base.as_ref().map(|(path, held)| (path.as_path(), *held));
    if let Some((index, entry)) = index(
        folder,
        dim,
        &made.segment,
        job.built_as,
        settings,
        base,
        go_on,
    )? {
        made.segment = made.segment.with_index(index);
        made.entry.index = Some(entry);
    }
    Ok(Some(made))
}

/// Builds and writes the index of a stored segment; `None` for one that is scanned.
pub(super) fn index(
    folder: &Path,
    dim: usize,
    segment: &Segment,
    kind: BuiltKind,
    settings: &VectorSettings,
    base: Option<(&Path, usize)>,
    go_on: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<(super::segment::BuiltIndex, files::IndexEntry)>, IndexError> {
    let Some(number) = segment.number else {
        return Ok(None);
    };
    let vectors = || Arc::clone(&segment.vectors);
    let mut coded = None;
    let (native, lists) = match kind {
        BuiltKind::Flat => return Ok(None),
        BuiltKind::Hnsw | BuiltKind::Sq8 => {
            let shape = GraphShape {
                links: settings.m,
                ef_construction: settings.ef_construction,
            };
            let made = files::write_codes(folder, number, dim, &segment.vectors)?;
            let codes = Arc::clone(&made.codes);
            coded = Some(made);
            (
                NativeIndex::build_graph(vectors(), codes, dim, shape, base, go_on)?,
                0,
            )
        }
        BuiltKind::IvfPq => {
            let shape = ListsShape {
                lists: settings.lists(segment.held()),
                subquantizers: settings.subquantizers(dim),
            };
            let native = NativeIndex::build_lists(vectors(), dim, shape, go_on)?;
            (native, shape.lists)
        }
    };
    files::write_index(folder, number, dim, native, vectors(), coded, (kind, lists)).map(Some)
}
