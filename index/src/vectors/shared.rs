//! What a store's threads share: the segments that searches see, and what is on disk of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use super::lanes::Lanes;
use super::manifest::{Manifest, Named};
use super::plan::{self, Zeal};
use super::segment::{BuiltIndex, Segment};
use super::settings::VectorSettings;
use super::{build, files};
use crate::error::IndexError;
use crate::row::VectorKind;

/// Both kinds of vectors.
pub(super) const KINDS: [VectorKind; 2] = [VectorKind::Image, VectorKind::Text];

/// What the threads share.
pub(super) struct Shared {
    pub folder: PathBuf,
    pub dim: usize,
    pub settings: VectorSettings,
    pub lanes: RwLock<Arc<Lanes>>,
    /// Held by whoever changes the lanes.
    pub disk: Mutex<Disk>,
    pub signals: Mutex<Signals>,
    /// Notified when a thread has left the store.
    pub idle: Condvar,
    pub stopping: AtomicBool,
    /// Whether there may be something to seal, and to build.
    pub seal_due: AtomicBool,
    pub build_due: AtomicBool,
    /// Vectors that the build that is running has done.
    pub built: AtomicUsize,
}

/// What is on disk.
pub(super) struct Disk {
    pub manifest: Manifest,
    pub last_write: Instant,
}

#[derive(Default)]
pub(super) struct Signals {
    /// How often compaction was asked for, and up to which time of asking it is done.
    pub compact_asked: u64,
    pub compact_done: u64,
    /// Threads that are at work on the store.
    pub at_work: usize,
    pub sealing: bool,
    pub building_since: Option<Instant>,
    /// Builds that ended, and the time that they took.
    pub builds: u64,
    pub spent_building: Duration,
}

/// The builds of a collection since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Builds {
    /// Whether one is under way.
    pub under_way: bool,
    /// Those that ended, given up or failed ones too.
    pub ended: u64,
    /// Time spent on all of them, on the one that is under way so far.
    pub spent: Duration,
}

impl Shared {
    pub(super) fn lanes(&self) -> Arc<Lanes> {
        Arc::clone(&self.lanes.read())
    }

    /// How long ago the last write was.
    pub(super) fn quiet_for(&self) -> Duration {
        self.disk.lock().last_write.elapsed()
    }

    /// A number that no segment has had.
    pub(super) fn take_number(&self) -> u64 {
        let mut disk = self.disk.lock();
        let number = disk.manifest.next_number;
        disk.manifest.next_number += 1;
        number
    }

    pub(super) fn is_busy(&self) -> bool {
        let signals = self.signals.lock();
        if signals.sealing || signals.building_since.is_some() {
            return true;
        }
        let zeal = if signals.compact_asked != signals.compact_done {
            Zeal::Compact
        } else {
            Zeal::Busy
        };
        let lanes = self.lanes();
        KINDS.iter().any(|kind| {
            let lane = lanes.of(*kind);
            !lane.frozen.is_empty()
                || plan::next(&lane.stored, lane.len(), &self.settings, zeal).is_some()
        })
    }

    /// Puts segments that were made of others in their place, durably, without stopping
    /// searches.
    pub(super) fn put_in_place(
        &self,
        replacements: Vec<(VectorKind, Vec<Arc<Segment>>, Option<build::Made>)>,
    ) -> Result<(), IndexError> {
        let mut disk = self.disk.lock();
        let mut lanes = Lanes::clone(&self.lanes());
        let mut next = disk.manifest.clone();
        let mut old = Vec::new();
        for (kind, sources, made) in replacements {
            if sources.iter().any(|source| source.number.is_none()) {
                // What was saved of memory holds what this took from there.
                old.extend(drop_growing(&mut next));
                next.complete_at = None;
            }
            let gone: Vec<u64> = sources.iter().filter_map(|source| source.number).collect();
            next.segments
                .retain(|named| !gone.contains(&named.entry.number));
            old.extend(gone);
            let made = made.map(|mut made| {
                made.take_over_removals(&sources);
                made
            });
            if let Some(made) = &made {
                if made.entry.dead > 0 {
                    files::write_live(&self.folder, made.entry.number, &made.segment.live)?;
                }
                next.segments.push(Named {
                    image: kind == VectorKind::Image,
                    growing: false,
                    entry: made.entry,
                });
            }
            lanes
                .of_mut(kind)
                .replace(&sources, made.map(|made| Arc::new(made.segment)));
        }
        next.write(&self.folder)?;
        disk.manifest = next;
        self.show(lanes);
        remove_files(&self.folder, &old)
    }

    /// Gives a stored segment the index that was built of it.
    pub(super) fn put_index(
        &self,
        kind: VectorKind,
        source: &Arc<Segment>,
        (index, entry): (BuiltIndex, files::IndexEntry),
    ) -> Result<(), IndexError> {
        let mut disk = self.disk.lock();
        let mut lanes = Lanes::clone(&self.lanes());
        let lane = lanes.of_mut(kind);
        if !lane.stored.iter().any(|one| Arc::ptr_eq(one, source)) {
            return Ok(());
        }
        let mut next = disk.manifest.clone();
        if let Some(named) = source.number.and_then(|number| next.entry_mut(number)) {
            named.index = Some(entry);
        }
        lane.replace(
            std::slice::from_ref(source),
            Some(Arc::new(source.with_index(index))),
        );
        next.write(&self.folder)?;
        disk.manifest = next;
        self.show(lanes);
        Ok(())
    }

    pub(super) fn show(&self, lanes: Lanes) {
        *self.lanes.write() = Arc::new(lanes);
    }
}

/// Takes what was saved of memory out of the manifest; says whose files may go.
pub(super) fn drop_growing(manifest: &mut Manifest) -> Vec<u64> {
    let growing = manifest.segments.iter().filter(|named| named.growing);
    let old = growing.map(|named| named.entry.number).collect();
    manifest.segments.retain(|named| !named.growing);
    old
}

pub(super) fn remove_files(folder: &Path, numbers: &[u64]) -> Result<(), IndexError> {
    numbers
        .iter()
        .try_for_each(|number| files::remove(folder, *number))
}
