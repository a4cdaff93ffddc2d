//! A collection's vectors: written, searched, sealed, built and saved.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use super::files::Entry;
use super::id::{self, VectorId};
use super::lanes::Lanes;
use super::manifest::{Manifest, Named};
use super::native::Compared;
use super::segment::Wanted;
use super::settings::{BuiltKind, VectorSettings};
use super::shared::{Builds, Disk, KINDS, Shared, drop_growing, remove_files};
use super::{build, files, opening, worker};
use crate::collection::{Held, Reason, State};
use crate::error::IndexError;
use crate::row::{Row, RowId, Scored, VectorKind};
use crate::row_set::RowSet;

/// How a nearest-neighbour search differs from the collection's habit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nearest<'a> {
    /// The rows that may be answered; all if not given.
    pub within: Option<&'a RowSet>,
    /// Whether everything is compared, whatever the index.
    pub exact: bool,
    /// Candidates that a graph search keeps.
    pub ef: Option<usize>,
    /// Lists that a search of an inverted file looks into.
    pub nprobe: Option<usize>,
}

/// What the vectors of one kind lie in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SegmentSize {
    /// How it is searched.
    pub kind: BuiltKind,
    /// Vectors that can be found in it.
    pub vectors: usize,
    /// Vectors in it that are removed and only waste room.
    pub removed: usize,
    /// Whether it lies on disk, mapped.
    pub stored: bool,
    /// Bytes of its files.
    pub disk_bytes: u64,
    /// Bytes that it holds in memory, apart from what is mapped.
    pub memory_bytes: usize,
}

/// The vectors of one collection. Searches never wait for a write, a seal or a build.
pub(crate) struct VectorStore {
    shared: Arc<Shared>,
    compared: ComparedTotal,
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
    /// Opens what `folder` has. What is damaged is left out, or wiped if nothing else helps,
    /// and reported.
    pub(crate) fn open(
        folder: &Path,
        dim: usize,
        settings: VectorSettings,
    ) -> Result<(Self, State), IndexError> {
        if !(1..=id::MAX_DIMENSIONS).contains(&dim) {
            return Err(IndexError::BadDimension(dim));
        }
        let (lanes, manifest, state) = match Manifest::read(folder, dim) {
            Ok(manifest) => opening::read(folder, dim, manifest)?,
            Err(reason) => {
                opening::wipe(folder)?;
                (
                    Lanes::default(),
                    Manifest::new(dim),
                    State::Empty { reason },
                )
            }
        };
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            dim,
            settings,
            lanes: RwLock::new(Arc::new(lanes)),
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
        worker::register(&shared).map_err(IndexError::io("start a thread for", folder))?;
        let store = Self {
            shared,
            compared: ComparedTotal::default(),
        };
        Ok((store, state))
    }

    /// What `folder` has, every byte of it checked; it stays as it is.
    pub(crate) fn inspect(folder: &Path, dim: usize) -> Result<Held, Reason> {
        let manifest = Manifest::read(folder, dim)?;
        let mut rows = Vec::new();
        for named in &manifest.segments {
            let read = files::read(folder, dim, &named.entry).map_err(Reason::Damaged)?;
            let number = named.entry.number;
            files::check_vectors(&read.segment, &named.entry, || true).map_err(Reason::Damaged)?;
            if let Some(healed) = read.healed {
                return Err(Reason::Damaged(healed));
            }
            if !read.removals_known {
                return Err(Reason::Damaged(format!("segment {number}: its removals")));
            }
            let segment = &read.segment;
            rows.extend(
                segment
                    .live_positions()
                    .map(|position| segment.members.id(position).row),
            );
        }
        rows.sort_unstable();
        rows.dedup();
        Ok(Held {
            sequence: manifest.complete_at,
            rows,
        })
    }

    /// The segments of each kind that `folder` names, if they hold all up to the write of this
    /// sequence. Reads the manifest alone.
    pub(crate) fn peek(folder: &Path, dim: usize, sequence: u64) -> Option<[Vec<SegmentSize>; 2]> {
        let manifest = Manifest::read(folder, dim).ok()?;
        if manifest.complete_at != Some(sequence) {
            return None;
        }
        let size = |named: &Named| {
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

    /// Whether a file that the manifest names is gone.
    pub(crate) fn is_lost(&self) -> bool {
        let disk = self.shared.disk.lock();
        let mut segments = disk.manifest.segments.iter();
        segments.any(|named| !files::is_there(&self.shared.folder, &named.entry))
    }

    /// Whether there are segments for [`VectorStore::verify`] to read.
    pub(crate) fn has_stored(&self) -> bool {
        let disk = self.shared.disk.lock();
        disk.manifest.segments.iter().any(|named| !named.growing)
    }

    /// Checks what [`VectorStore::apply`] would be given, so that a batch that cannot be
    /// applied is refused before anything changed.
    pub(crate) fn check(&self, add: &[Row<'_>]) -> Result<(), IndexError> {
        for kind in KINDS {
            for (_, vector) in id::of_kind(add, kind)? {
                self.check_vector(vector)?;
            }
        }
        Ok(())
    }

    /// Removes, then adds; both are found, or no longer found, on return. A row that is there
    /// already stays as it is.
    pub(crate) fn apply(&self, remove: &[RowId], add: &[Row<'_>]) -> Result<(), IndexError> {
        let mut disk = self.shared.disk.lock();
        disk.manifest.complete_at = None;
        disk.last_write = Instant::now();
        let now = self.shared.lanes();
        for row in remove {
            for segment in now.segments() {
                segment.remove(*row);
            }
        }
        let mut next = Lanes::clone(&now);
        for kind in KINDS {
            let vectors: Vec<(VectorId, &[f32])> = id::of_kind(add, kind)?
                .into_iter()
                .filter(|(id, _)| !now.of(kind).contains(id.row))
                .collect();
            next.of_mut(kind).grow(self.shared.dim, &vectors);
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

    /// The first `limit` rows of one kind in the list that answers the query, each with its best
    /// passage; best first, ties by row. Never fewer than the smaller of `limit` and the number
    /// of rows that match. Until something is written or built, a smaller limit gives the
    /// beginning of what a larger one gives.
    pub(crate) fn search(
        &self,
        query: &[f32],
        kind: VectorKind,
        limit: usize,
        how: &Nearest<'_>,
    ) -> Result<Vec<Scored>, IndexError> {
        self.check_vector(query)?;
        let settings = &self.shared.settings;
        let wanted = Wanted {
            query,
            limit,
            within: how.within,
            exact: how.exact,
            ef: how.ef.unwrap_or(settings.ef).max(1),
            nprobe: how.nprobe,
        };
        let lanes = self.shared.lanes();
        let mut compared = Compared::default();
        let lists = lanes
            .of(kind)
            .segments()
            .map(|segment| segment.search(&wanted, settings, &mut compared))
            .collect::<Result<Vec<_>, _>>()?;
        self.compared.add(compared);
        Ok(merged(lists, limit))
    }

    /// What searches compared since the store was opened.
    pub(crate) fn compared(&self) -> Compared {
        self.compared.get()
    }

    pub(crate) fn len(&self, kind: VectorKind) -> usize {
        self.shared.lanes().of(kind).len()
    }

    /// Up to `count` vectors of one kind, taken evenly from all.
    pub(crate) fn sample(&self, kind: VectorKind, count: usize) -> Vec<Vec<f32>> {
        let lanes = self.shared.lanes();
        let lane = lanes.of(kind);
        let step = (lane.len() / count.max(1)).max(1);
        lane.segments()
            .flat_map(|segment| segment.live_positions().map(move |at| segment.vector(at)))
            .step_by(step)
            .take(count)
            .map(<[f32]>::to_vec)
            .collect()
    }

    pub(crate) fn rows(&self) -> Vec<RowId> {
        self.shared.lanes().rows()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let lanes = self.shared.lanes();
        lanes.segments().map(|segment| segment.memory_bytes()).sum()
    }

    /// The segments of one kind.
    pub(crate) fn segments(&self, kind: VectorKind) -> Vec<SegmentSize> {
        let lanes = self.shared.lanes();
        let segments = lanes.of(kind).segments();
        segments
            .map(|segment| SegmentSize {
                kind: segment.kind(),
                vectors: segment.len(),
                removed: segment.live.dead(),
                stored: segment.number.is_some(),
                disk_bytes: segment.disk_bytes(),
                memory_bytes: segment.memory_bytes(),
            })
            .collect()
    }

    pub(crate) fn builds(&self) -> Builds {
        let signals = self.shared.signals.lock();
        let so_far = signals.building_since.map(|since| since.elapsed());
        Builds {
            under_way: so_far.is_some(),
            ended: signals.builds,
            spent: signals.spent_building + so_far.unwrap_or_default(),
        }
    }

    pub(crate) fn settings(&self) -> &VectorSettings {
        &self.shared.settings
    }

    /// Whether something is being sealed or built, or about to be.
    pub(crate) fn is_busy(&self) -> bool {
        self.shared.is_busy()
    }

    /// Asks for one segment of each kind, without what was removed, as far as that is useful.
    pub(crate) fn compact(&self) {
        {
            let mut disk = self.shared.disk.lock();
            let mut next = Lanes::clone(&self.shared.lanes());
            next.freeze();
            disk.manifest.complete_at = None;
            self.shared.show(next);
        }
        // Only now: the wish is forgotten as soon as nothing is left to do.
        self.shared.signals.lock().compact_asked += 1;
        worker::wake(&self.shared);
    }

    /// Waits until what came so far is sealed and built, or the store stops.
    pub(crate) fn settle(&self) {
        worker::wake(&self.shared);
        while self.is_busy() && !self.shared.stopping.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends what is done to it in the background; a build that is running is given up. Searches
    /// and writes go on.
    pub(crate) fn stop(&self) {
        worker::unregister(&self.shared);
    }

    /// Makes the present state durable as that of `sequence`; nothing is written when it is
    /// already.
    pub(crate) fn save(&self, sequence: u64) -> Result<(), IndexError> {
        let shared = &self.shared;
        let mut disk = shared.disk.lock();
        if disk.manifest.complete_at == Some(sequence) {
            return Ok(());
        }
        let lanes = shared.lanes();
        for segment in lanes.segments() {
            if let Some(number) = segment.number
                && let Some(entry) = disk.manifest.entry_mut(number)
                && entry.dead != segment.live.dead()
            {
                files::write_live(&shared.folder, number, &segment.live)?;
                entry.dead = segment.live.dead();
            }
        }
        let mut next = disk.manifest.clone();
        let old = drop_growing(&mut next);
        for kind in KINDS {
            let lane = lanes.of(kind);
            let memory: Vec<_> = lane.frozen.iter().chain(&lane.growing).cloned().collect();
            let number = next.next_number;
            if let Some(made) = build::copy(&shared.folder, shared.dim, number, &memory, false)? {
                next.next_number += 1;
                next.segments.push(Named {
                    image: kind == VectorKind::Image,
                    growing: true,
                    entry: made.entry,
                });
            }
        }
        next.complete_at = Some(sequence);
        next.write(&shared.folder)?;
        disk.manifest = next;
        remove_files(&shared.folder, &old)
    }

    /// Reads every stored vector and leaves out the segments whose checksum is wrong; says
    /// which. Ends early when the store stops. The rows that they held have then no vector at
    /// all: reconciling brings them back.
    pub(crate) fn verify(&self) -> Result<Vec<String>, IndexError> {
        let shared = &self.shared;
        let Some(_at_work) = worker::enter(shared) else {
            return Ok(Vec::new());
        };
        let entries: Vec<Named> = {
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
            let lanes = shared.lanes();
            let stored = &lanes.of(named.kind()).stored;
            let Some(segment) = stored
                .iter()
                .find(|one| one.number == Some(named.entry.number))
            else {
                // Built into another meanwhile.
                continue;
            };
            let go_on = || !shared.stopping.load(Ordering::Acquire);
            match files::check_vectors(segment, &named.entry, go_on) {
                Ok(true) => continue,
                Ok(false) => break,
                Err(reason) => lost.push(reason),
            }
            let mut disk = shared.disk.lock();
            let mut next = Lanes::clone(&shared.lanes());
            next.of_mut(named.kind())
                .replace(&[Arc::clone(segment)], None);
            opening::forget(&next, &named);
            disk.manifest.complete_at = None;
            disk.manifest
                .segments
                .retain(|one| one.entry.number != named.entry.number);
            disk.manifest.write(&shared.folder)?;
            shared.show(next);
            files::remove(&shared.folder, named.entry.number)?;
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

/// One list of several, each of which keeps its order: always the best of those that are next.
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
