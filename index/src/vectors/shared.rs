//! The state of a store that its threads share: the segments that searches see, and the manifest.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use super::build::BuildOutput;
use super::entry::IndexEntry;
use super::files::SegmentFiles;
use super::manifest::{Manifest, ManifestSegment};
use super::merge_policy::{self, MergeUrgency};
use super::segment::{BuiltIndex, Segment};
use super::segment_view::SegmentView;
use super::segment_writer::write_live;
use super::settings::VectorSettings;
use crate::error::IndexError;
use crate::row::VectorKind;

/// Both kinds of vectors.
pub(super) const KINDS: [VectorKind; 2] = [VectorKind::Image, VectorKind::Text];

/// The state of one store.
pub(super) struct Shared {
    pub folder: PathBuf,
    pub dim: usize,
    pub settings: VectorSettings,
    pub view: RwLock<Arc<SegmentView>>,
    /// Locked by every thread that changes the view.
    pub disk: Mutex<Disk>,
    pub signals: Mutex<Signals>,
    /// Notified when a thread has finished its work on the store.
    pub idle: Condvar,
    pub stopping: AtomicBool,
    /// Whether there may be segments to write to disk, or to build.
    pub seal_due: AtomicBool,
    pub build_due: AtomicBool,
    /// Vectors done by the build in progress.
    pub built: AtomicUsize,
}

/// The state on disk.
pub(super) struct Disk {
    pub manifest: Manifest,
    pub last_write: Instant,
}

#[derive(Default)]
pub(super) struct Signals {
    /// Number of requests for compaction, and how many of them are done.
    pub compact_requested: u64,
    pub compact_done: u64,
    /// Threads that work on the store.
    pub active_threads: usize,
    pub sealing: bool,
    pub building_since: Option<Instant>,
    /// Builds that ended, and their total duration.
    pub builds: u64,
    pub spent_building: Duration,
}

/// The builds of a collection since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Builds {
    /// Whether one is in progress.
    pub in_progress: bool,
    /// Builds that ended, including cancelled and failed ones.
    pub ended: u64,
    /// Total duration, including the time of the build in progress until now.
    pub spent: Duration,
}

impl Shared {
    pub(super) fn view(&self) -> Arc<SegmentView> {
        Arc::clone(&self.view.read())
    }

    /// Time since the last write.
    pub(super) fn quiet_for(&self) -> Duration {
        self.disk.lock().last_write.elapsed()
    }

    /// A number that no segment ever had.
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
        let urgency = if signals.compact_requested != signals.compact_done {
            MergeUrgency::Compact
        } else {
            MergeUrgency::Busy
        };
        let view = self.view();
        KINDS.iter().any(|kind| {
            let list = view.of(*kind);
            !list.frozen.is_empty()
                || merge_policy::next_job(&list.stored, list.len(), &self.settings, urgency)
                    .is_some()
        })
    }

    /// Durably replaces segments by those that were made of them. Searches continue.
    pub(super) fn replace_segments(
        &self,
        replacements: Vec<(VectorKind, Vec<Arc<Segment>>, Option<BuildOutput>)>,
    ) -> Result<(), IndexError> {
        let mut disk = self.disk.lock();
        let mut view = SegmentView::clone(&self.view());
        let mut next = disk.manifest.clone();
        let mut old = Vec::new();
        for (kind, sources, output) in replacements {
            if sources.iter().any(|source| source.number.is_none()) {
                // The saved copy of memory holds the same vectors.
                old.extend(drop_growing(&mut next));
                next.complete_at = None;
            }
            let replaced: Vec<u64> = sources.iter().filter_map(|source| source.number).collect();
            next.segments
                .retain(|named| !replaced.contains(&named.entry.number));
            old.extend(replaced);
            let output = output.map(|mut output| {
                output.apply_removals(&sources);
                output
            });
            if let Some(output) = &output {
                if output.entry.dead > 0 {
                    let files = SegmentFiles::new(&self.folder, output.entry.number);
                    write_live(files, &output.segment.live)?;
                }
                next.segments.push(ManifestSegment {
                    image: kind == VectorKind::Image,
                    growing: false,
                    entry: output.entry,
                });
            }
            view.of_mut(kind)
                .replace(&sources, output.map(|output| Arc::new(output.segment)));
        }
        next.write(&self.folder)?;
        disk.manifest = next;
        self.show(view);
        remove_files(&self.folder, &old)
    }

    /// Durably adds an index to the stored segment that it was built of.
    pub(super) fn add_index(
        &self,
        kind: VectorKind,
        source: &Arc<Segment>,
        (index, entry): (BuiltIndex, IndexEntry),
    ) -> Result<(), IndexError> {
        let mut disk = self.disk.lock();
        let mut view = SegmentView::clone(&self.view());
        let list = view.of_mut(kind);
        if !list.stored.iter().any(|one| Arc::ptr_eq(one, source)) {
            return Ok(());
        }
        let mut next = disk.manifest.clone();
        if let Some(named) = source.number.and_then(|number| next.entry_mut(number)) {
            named.index = Some(entry);
        }
        list.replace(
            std::slice::from_ref(source),
            Some(Arc::new(source.with_index(index))),
        );
        next.write(&self.folder)?;
        disk.manifest = next;
        self.show(view);
        Ok(())
    }

    pub(super) fn show(&self, view: SegmentView) {
        *self.view.write() = Arc::new(view);
    }
}

/// Removes the saved copies of segments in memory from the manifest and returns their numbers.
pub(super) fn drop_growing(manifest: &mut Manifest) -> Vec<u64> {
    let growing = manifest.segments.iter().filter(|named| named.growing);
    let old = growing.map(|named| named.entry.number).collect();
    manifest.segments.retain(|named| !named.growing);
    old
}

pub(super) fn remove_files(folder: &Path, numbers: &[u64]) -> Result<(), IndexError> {
    numbers
        .iter()
        .try_for_each(|number| SegmentFiles::new(folder, *number).remove())
}
