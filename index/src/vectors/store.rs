//! The vectors of one collection: writes, searches and saves. Builds run in the background.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use super::background::{Background, Backgrounds, SAMPLE};
use super::entry::Entry;
use super::files::SegmentFiles;
use super::id::{self, VectorId};
use super::manifest::{Manifest, ManifestSegment};
use super::merge_policy::MergeMode;
use super::native::Compared;
use super::segment::SegmentQuery;
use super::segment_reader::Verified;
use super::segment_view::SegmentView;
use super::segment_writer::write_live;
use super::settings::{BuiltKind, VectorSettings};
use super::shared::{Builds, Disk, KINDS, Shared, drop_growing, remove_files};
use super::{build, opening, segment_reader, worker};
use crate::error::IndexError;
use crate::row::{MAX_DIMENSIONS, Row, RowId, Scored, VectorKind};
use crate::row_set::RowSet;
use crate::saved_state::{Reason, SavedIndex, State};

/// Options of a nearest-neighbour search.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nearest<'a> {
    /// The rows that may be returned; `None` for all.
    pub within: Option<&'a RowSet>,
    /// Whether all vectors are compared instead of using the index.
    pub exact: bool,
    /// Candidates that a graph search keeps; `None` for the collection's setting.
    pub ef: Option<usize>,
    /// Lists that a search of an inverted file reads; `None` for the collection's setting.
    pub nprobe: Option<usize>,
}

/// A segment of vectors, with its sizes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SegmentSize {
    /// How it is searched.
    pub kind: BuiltKind,
    /// Number of live vectors.
    pub vectors: usize,
    /// Number of removed vectors, which still take space.
    pub removed: usize,
    /// Whether it is on disk and mapped.
    pub stored: bool,
    /// Bytes of its files.
    pub disk_bytes: u64,
    /// Bytes of memory, without mapped files.
    pub memory_bytes: usize,
}

/// The vectors of one collection. Searches never wait for a write or a build.
pub(crate) struct VectorStore {
    shared: Arc<Shared>,
    compared: ComparedTotal,
    backgrounds: Backgrounds,
    /// Vectors added and rows removed since the store was opened.
    changes: AtomicUsize,
}

#[derive(Default)]
struct ComparedTotal {
    walked: AtomicUsize,
    scanned: AtomicUsize,
    vectors: AtomicUsize,
}

impl ComparedTotal {
    fn add(&self, compared: Compared) {
        self.walked.fetch_add(compared.walked, Ordering::Relaxed);
        self.scanned.fetch_add(compared.scanned, Ordering::Relaxed);
        self.vectors.fetch_add(compared.vectors, Ordering::Relaxed);
    }

    fn get(&self) -> Compared {
        Compared {
            walked: self.walked.load(Ordering::Relaxed),
            scanned: self.scanned.load(Ordering::Relaxed),
            vectors: self.vectors.load(Ordering::Relaxed),
        }
    }
}

impl VectorStore {
    /// Opens the vectors in `folder`. Corrupt segments are left out and reported; an unusable
    /// manifest empties the folder.
    pub(crate) fn open(
        folder: &Path,
        dim: usize,
        settings: VectorSettings,
    ) -> Result<(Self, State), IndexError> {
        if !(1..=MAX_DIMENSIONS).contains(&dim) {
            return Err(IndexError::BadDimension(dim));
        }
        let (view, manifest, state) = match Manifest::read(folder, dim) {
            Ok(manifest) => opening::open(folder, dim, manifest)?,
            Err(reason) => {
                opening::wipe(folder)?;
                (
                    SegmentView::default(),
                    Manifest::new(dim),
                    State::Empty { reason },
                )
            }
        };
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            dim,
            settings,
            view: RwLock::new(Arc::new(view)),
            disk: Mutex::new(Disk {
                manifest,
                last_write: Instant::now(),
            }),
            signals: Mutex::default(),
            idle: Condvar::new(),
            stopping: AtomicBool::new(false),
            seal_due: AtomicBool::new(false),
            build_due: AtomicBool::new(false),
            built: AtomicUsize::new(0),
        });
        worker::register(&shared).map_err(IndexError::io("spawn a thread for", folder))?;
        let store = Self {
            shared,
            compared: ComparedTotal::default(),
            backgrounds: Backgrounds::default(),
            changes: AtomicUsize::new(0),
        };
        Ok((store, state))
    }

    /// Reads the vectors in `folder` and verifies all checksums. Changes nothing.
    pub(crate) fn inspect(folder: &Path, dim: usize) -> Result<SavedIndex, Reason> {
        let manifest = Manifest::read(folder, dim)?;
        let mut rows = Vec::new();
        for named in &manifest.segments {
            let opened =
                segment_reader::open(folder, dim, &named.entry).map_err(Reason::Corrupt)?;
            let segment = &opened.segment;
            segment_reader::verify_vectors(segment, &named.entry, || true)
                .map_err(Reason::Corrupt)?;
            if let Some(reason) = opened.index_lost {
                return Err(Reason::Corrupt(reason));
            }
            if !opened.removals_known {
                let number = named.entry.number;
                return Err(Reason::Corrupt(format!("segment {number}: its removals")));
            }
            rows.extend(
                segment
                    .live_positions()
                    .map(|position| segment.members.id(position).row),
            );
        }
        rows.sort_unstable();
        rows.dedup();
        Ok(SavedIndex {
            sequence: manifest.complete_at,
            rows,
        })
    }

    /// The segments of each kind in `folder`, if they are complete as of the write of this
    /// sequence. Reads only the manifest.
    pub(crate) fn peek(folder: &Path, dim: usize, sequence: u64) -> Option<[Vec<SegmentSize>; 2]> {
        let manifest = Manifest::read(folder, dim).ok()?;
        if manifest.complete_at != Some(sequence) {
            return None;
        }
        let size = |named: &ManifestSegment| {
            let Entry {
                held, dead, index, ..
            } = named.entry;
            let full = (held * dim * size_of::<f32>()) as u64;
            SegmentSize {
                kind: index.map_or(BuiltKind::Flat, |index| index.kind),
                vectors: held - dead,
                removed: dead,
                stored: !named.growing,
                disk_bytes: full + index.map_or(0, |index| index.bytes),
                memory_bytes: 0,
            }
        };
        Some(KINDS.map(|kind| {
            let of_kind = manifest
                .segments
                .iter()
                .filter(|named| named.kind() == kind);
            of_kind.map(size).collect()
        }))
    }

    /// Whether a file that the manifest names is missing.
    pub(crate) fn is_lost(&self) -> bool {
        let disk = self.shared.disk.lock();
        let mut segments = disk.manifest.segments.iter();
        segments.any(|named| {
            let files = SegmentFiles::new(&self.shared.folder, named.entry.number);
            !files.exist(&named.entry)
        })
    }

    /// Whether there are segments for [`VectorStore::verify`] to read.
    pub(crate) fn has_stored(&self) -> bool {
        let disk = self.shared.disk.lock();
        disk.manifest.segments.iter().any(|named| !named.growing)
    }

    /// Validates rows for [`VectorStore::apply`], so an invalid batch is refused before anything
    /// changes.
    pub(crate) fn check(&self, add: &[Row<'_>]) -> Result<(), IndexError> {
        for kind in KINDS {
            for (_, vector) in id::of_kind(add, kind)? {
                self.check_vector(vector)?;
            }
        }
        Ok(())
    }

    /// Removes rows, then adds rows. Searches see both on return. A row that is already there
    /// stays unchanged.
    pub(crate) fn apply(&self, remove: &[RowId], add: &[Row<'_>]) -> Result<(), IndexError> {
        let mut disk = self.shared.disk.lock();
        disk.manifest.complete_at = None;
        disk.last_write = Instant::now();
        self.changes
            .fetch_add(remove.len() + add.len(), Ordering::Relaxed);
        let now = self.shared.view();
        for row in remove {
            for segment in now.segments() {
                segment.remove_row(*row);
            }
        }
        let mut next = SegmentView::clone(&now);
        for kind in KINDS {
            let vectors: Vec<(VectorId, &[f32])> = id::of_kind(add, kind)?
                .into_iter()
                .filter(|(id, _)| !now.of(kind).contains(id.row))
                .collect();
            next.of_mut(kind).append(self.shared.dim, &vectors);
        }
        let seal_at = self.shared.settings.seal_at;
        let full = KINDS
            .iter()
            .any(|kind| next.of(*kind).growing_vectors() >= seal_at);
        if full {
            next.freeze();
        }
        self.shared.show(next);
        if full || !remove.is_empty() {
            worker::wake(&self.shared);
        }
        Ok(())
    }

    /// The `limit` nearest rows, approximately, each with its best passage; best first, ties by
    /// row. Never fewer than the smaller of `limit` and the number of rows that match. Until the
    /// next write or build, the list for a smaller limit is a prefix of the list for a larger one.
    pub(crate) fn search(
        &self,
        query: &[f32],
        kind: VectorKind,
        limit: usize,
        how: &Nearest<'_>,
    ) -> Result<Vec<Scored>, IndexError> {
        self.check_vector(query)?;
        let settings = &self.shared.settings;
        let request = SegmentQuery {
            vector: query,
            limit,
            within: how.within,
            exact: how.exact,
            ef: how.ef.unwrap_or(settings.ef).max(1),
            nprobe: how.nprobe,
        };
        let view = self.shared.view();
        let mut compared = Compared::default();
        let lists = view
            .of(kind)
            .segments()
            .map(|segment| segment.search(&request, settings, &mut compared))
            .collect::<Result<Vec<_>, _>>()?;
        self.compared.add(compared);
        Ok(merged(lists, limit))
    }

    /// Comparisons of all searches since the store was opened.
    pub(crate) fn compared(&self) -> Compared {
        self.compared.get()
    }

    pub(crate) fn len(&self, kind: VectorKind) -> usize {
        self.shared.view().of(kind).len()
    }

    /// Up to `count` vectors of one kind, at even distances.
    pub(crate) fn sample(&self, kind: VectorKind, count: usize) -> Vec<Vec<f32>> {
        let view = self.shared.view();
        let list = view.of(kind);
        let step = list.len().div_ceil(count.max(1)).max(1);
        list.segments()
            .flat_map(|segment| segment.live_positions().map(move |at| segment.vector(at)))
            .step_by(step)
            .take(count)
            .map(<[f32]>::to_vec)
            .collect()
    }

    /// A sample of one kind, taken again when an eighth of the vectors has changed.
    pub(crate) fn background(&self, kind: VectorKind) -> Arc<Background> {
        let take = || self.sample(kind, SAMPLE);
        let changes = self.changes.load(Ordering::Relaxed);
        self.backgrounds.of(kind, self.len(kind), changes, take)
    }

    pub(crate) fn rows(&self) -> Vec<RowId> {
        self.shared.view().rows()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let view = self.shared.view();
        let segments = view.segments().map(|segment| segment.memory_bytes());
        segments.sum::<usize>() + self.backgrounds.memory_bytes()
    }

    /// The segments of one kind.
    pub(crate) fn segments(&self, kind: VectorKind) -> Vec<SegmentSize> {
        let view = self.shared.view();
        let segments = view.of(kind).segments();
        segments
            .map(|segment| SegmentSize {
                kind: segment.kind(),
                vectors: segment.len(),
                removed: segment.live.removed(),
                stored: segment.number.is_some(),
                disk_bytes: segment.disk_bytes(),
                memory_bytes: segment.memory_bytes(),
            })
            .collect()
    }

    pub(crate) fn builds(&self) -> Builds {
        let signals = self.shared.signals.lock();
        let current = signals.building_since.map(|since| since.elapsed());
        Builds {
            in_progress: current.is_some(),
            ended: signals.builds,
            spent: signals.spent_building + current.unwrap_or_default(),
        }
    }

    pub(crate) fn settings(&self) -> &VectorSettings {
        &self.shared.settings
    }

    /// Whether segments are being written or built, or will be.
    pub(crate) fn is_busy(&self) -> bool {
        self.shared.is_busy()
    }

    /// Requests one segment of each kind, without removed vectors where that saves enough.
    pub(crate) fn compact(&self) {
        {
            let mut disk = self.shared.disk.lock();
            let mut next = SegmentView::clone(&self.shared.view());
            next.freeze();
            disk.manifest.complete_at = None;
            self.shared.show(next);
        }
        // Only now: a request is done as soon as nothing is left to merge.
        self.shared.signals.lock().compact_requested += 1;
        worker::wake(&self.shared);
    }

    /// Waits until all present vectors are written and built, or the store stops.
    pub(crate) fn wait_for_builds(&self) {
        worker::wake(&self.shared);
        while self.is_busy() && !self.shared.stopping.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops background work for good and cancels a build in progress. Searches and writes
    /// continue to work.
    pub(crate) fn stop(&self) {
        worker::unregister(&self.shared);
    }

    /// Makes the current state durable as that of `sequence`. Writes nothing if it already is.
    pub(crate) fn save(&self, sequence: u64) -> Result<(), IndexError> {
        let shared = &self.shared;
        let mut disk = shared.disk.lock();
        if disk.manifest.complete_at == Some(sequence) {
            return Ok(());
        }
        let view = shared.view();
        for segment in view.segments() {
            if let Some(number) = segment.number
                && let Some(entry) = disk.manifest.entry_mut(number)
                && entry.dead != segment.live.removed()
            {
                let files = SegmentFiles::new(&shared.folder, number);
                write_live(files, &segment.live)?;
                entry.dead = segment.live.removed();
            }
        }
        let mut next = disk.manifest.clone();
        let old = drop_growing(&mut next);
        for kind in KINDS {
            let list = view.of(kind);
            let memory: Vec<_> = list.frozen.iter().chain(&list.growing).cloned().collect();
            let files = SegmentFiles::new(&shared.folder, next.next_number);
            if let Some(output) = build::copy(files, shared.dim, &memory, MergeMode::Rewrite)? {
                next.next_number += 1;
                next.segments.push(ManifestSegment {
                    image: kind == VectorKind::Image,
                    growing: true,
                    entry: output.entry,
                });
            }
        }
        next.complete_at = Some(sequence);
        next.write(&shared.folder)?;
        disk.manifest = next;
        remove_files(&shared.folder, &old)
    }

    /// Reads all vectors on disk, removes segments whose checksum is wrong and returns which.
    /// Ends early when the store stops. The rows of these segments then have no vector;
    /// reconciling restores them.
    pub(crate) fn verify(&self) -> Result<Vec<String>, IndexError> {
        let shared = &self.shared;
        let Some(_working) = worker::enter(shared) else {
            return Ok(Vec::new());
        };
        let entries: Vec<ManifestSegment> = {
            let disk = shared.disk.lock();
            disk.manifest
                .segments
                .iter()
                .filter(|named| !named.growing)
                .copied()
                .collect()
        };
        let mut lost = Vec::new();
        for named in entries {
            let view = shared.view();
            let stored = &view.of(named.kind()).stored;
            let Some(segment) = stored
                .iter()
                .find(|one| one.number == Some(named.entry.number))
            else {
                // Merged into another segment in the meantime.
                continue;
            };
            let keep_going = || !shared.stopping.load(Ordering::Acquire);
            match segment_reader::verify_vectors(segment, &named.entry, keep_going) {
                Ok(Verified::Intact) => continue,
                Ok(Verified::Cancelled) => break,
                Err(reason) => lost.push(reason),
            }
            let mut disk = shared.disk.lock();
            let mut next = SegmentView::clone(&shared.view());
            next.of_mut(named.kind())
                .replace(&[Arc::clone(segment)], None);
            opening::forget(&next, &named);
            disk.manifest.complete_at = None;
            disk.manifest
                .segments
                .retain(|one| one.entry.number != named.entry.number);
            disk.manifest.write(&shared.folder)?;
            shared.show(next);
            SegmentFiles::new(&shared.folder, named.entry.number).remove()?;
        }
        Ok(lost)
    }

    fn check_vector(&self, vector: &[f32]) -> Result<(), IndexError> {
        if vector.len() != self.shared.dim {
            return Err(IndexError::Dimension {
                expected: self.shared.dim,
                got: vector.len(),
            });
        }
        if !vector.iter().all(|number| number.is_finite()) {
            return Err(IndexError::NotFinite);
        }
        Ok(())
    }
}

impl Drop for VectorStore {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Merges sorted lists. The order within each list is kept.
fn merged(mut lists: Vec<Vec<Scored>>, limit: usize) -> Vec<Scored> {
    lists.retain(|list| !list.is_empty());
    if lists.len() == 1 {
        return lists.swap_remove(0);
    }
    let mut next = vec![0; lists.len()];
    let mut seen = HashSet::with_capacity(limit.min(1024));
    let mut merged = Vec::new();
    while merged.len() < limit {
        let heads = lists
            .iter()
            .zip(&next)
            .enumerate()
            .filter_map(|(at, (list, next))| Some((at, list.get(*next)?)));
        let best = heads.min_by(|(_, a), (_, b)| {
            let by_score = b.score.total_cmp(&a.score);
            by_score.then(a.row.cmp(&b.row))
        });
        let Some((at, hit)) = best else {
            break;
        };
        if seen.insert(hit.row) {
            merged.push(*hit);
        }
        next[at] += 1;
    }
    merged
}
