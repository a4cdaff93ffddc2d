//! A pool of tantivy's writers. Each has three threads and a few megabytes, so only a few are open
//! in the process: a write to a collection opens its writer, and the least recently used one is
//! closed.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};
use tantivy::indexer::IndexWriterOptions;
use tantivy::{Directory, Index, IndexWriter};

use crate::error::IndexError;

/// Bytes that tantivy gathers before it writes a segment. It requires at least 15 MB and allocates
/// as needed.
const WRITER_BYTES: usize = 32 << 20;

static MOST_OPEN: AtomicUsize = AtomicUsize::new(8);
static OPEN: Mutex<Vec<Weak<PooledWriter>>> = Mutex::new(Vec::new());
static CLOCK: AtomicU64 = AtomicU64::new(0);

/// Sets how many of tantivy's writers may be open in the process, effective when the next one
/// opens. More are open only while more collections are written at the same time.
pub fn set_open_writers(most: std::num::NonZeroUsize) {
    MOST_OPEN.store(most.get(), Ordering::Relaxed);
}

/// The writer of one index, open or closed.
pub(super) struct PooledWriter {
    index: Index,
    open: Mutex<Open>,
    /// Time of the last use, by [`CLOCK`].
    used: AtomicU64,
}

#[derive(Default)]
struct Open {
    writer: Option<IndexWriter>,
    /// Whether it has uncommitted changes.
    staged: bool,
}

/// A writer that stays open while this exists.
pub(super) struct InUse<'a>(MutexGuard<'a, Open>);

impl PooledWriter {
    pub(super) fn new(index: Index) -> Arc<Self> {
        Arc::new(Self {
            index,
            open: Mutex::default(),
            used: AtomicU64::new(0),
        })
    }

    pub(super) fn open(self: &Arc<Self>) -> Result<InUse<'_>, IndexError> {
        self.used
            .store(CLOCK.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let mut open = self.open.lock();
        if open.writer.is_none() {
            make_room(self);
            let options = IndexWriterOptions::builder()
                .num_worker_threads(1)
                .num_merge_threads(1)
                .memory_budget_per_thread(WRITER_BYTES)
                .build();
            let writer = self
                .index
                .writer_with_options(options)
                .map_err(IndexError::tantivy("open a writer"))?;
            // Files of a commit that failed halfway have the names of the next commit's files, and
            // tantivy does not overwrite files.
            writer
                .garbage_collect_files()
                .wait()
                .map_err(IndexError::tantivy("remove files of a failed commit"))?;
            *open = Open {
                writer: Some(writer),
                staged: false,
            };
            OPEN.lock().push(Arc::downgrade(self));
        }
        Ok(InUse(open))
    }

    /// Discards uncommitted changes.
    pub(super) fn roll_back(self: &Arc<Self>) {
        // Tantivy's own roll-back acquires the folder's lock again and panics if that fails.
        let writer = std::mem::take(&mut *self.open.lock());
        forget(self);
        drop(writer);
    }

    /// Closes it; waits for merges in progress.
    pub(super) fn close(self: &Arc<Self>) {
        let mut open = self.open.lock();
        close(self, &mut open);
    }

    /// Whether a file of the last commit is missing.
    pub(super) fn is_lost(&self) -> bool {
        let there = |path: &Path| self.index.directory().exists(path).unwrap_or(true);
        if !there(Path::new("meta.json")) {
            return true;
        }
        let segments = self.index.searchable_segment_metas().unwrap_or_default();
        let mut files = segments.iter().flat_map(super::commit::files_of);
        files.any(|file| !there(&file))
    }
}

impl InUse<'_> {
    /// The writer, to change the next commit.
    pub(super) fn stage(&mut self) -> Result<&mut IndexWriter, IndexError> {
        self.0.staged = true;
        self.writer()
    }

    pub(super) fn commit(&mut self, payload: &str) -> Result<(), IndexError> {
        let mut commit = self
            .writer()?
            .prepare_commit()
            .map_err(IndexError::tantivy("prepare a commit"))?;
        commit.set_payload(payload);
        commit.commit().map_err(IndexError::tantivy("commit"))?;
        self.0.staged = false;
        Ok(())
    }

    fn writer(&mut self) -> Result<&mut IndexWriter, IndexError> {
        // It was opened under the lock that this holds.
        let missing = || tantivy::TantivyError::SystemError("no writer is open".to_owned());
        let writer = self.0.writer.as_mut().ok_or_else(missing);
        writer.map_err(IndexError::tantivy("write"))
    }
}

/// Closes the least recently used writers until one more may open. Writers that are in use or have
/// uncommitted changes stay open.
fn make_room(wanted: &Arc<PooledWriter>) {
    let most = MOST_OPEN.load(Ordering::Relaxed);
    let mut all: Vec<Arc<PooledWriter>> = {
        let mut open = OPEN.lock();
        open.retain(|writer| writer.strong_count() > 0);
        open.iter().filter_map(Weak::upgrade).collect()
    };
    let mut more = (all.len() + 1).saturating_sub(most);
    all.sort_by_key(|writer| writer.used.load(Ordering::Relaxed));
    for writer in all {
        if more == 0 {
            break;
        }
        if Arc::ptr_eq(&writer, wanted) {
            continue;
        }
        if let Some(mut open) = writer.open.try_lock()
            && !open.staged
        {
            close(&writer, &mut open);
            more -= 1;
        }
    }
}

/// Called under the writer's lock, so no other writer can be opened over the same folder.
fn close(writer: &Arc<PooledWriter>, open: &mut Open) {
    let Some(closing) = std::mem::take(open).writer else {
        return;
    };
    forget(writer);
    // Merges would continue without their writer, in vain.
    if let Err(error) = closing.wait_merging_threads() {
        tracing::warn!(%error, "a merge of the full-text index failed; the next write tries again");
    }
}

fn forget(writer: &Arc<PooledWriter>) {
    let is_other = |open: &Weak<PooledWriter>| !std::ptr::eq(open.as_ptr(), Arc::as_ptr(writer));
    OPEN.lock().retain(is_other);
}
