//! Tantivy's writers. Each has three threads and a few megabytes, so that few are open in the
//! process: one opens with a collection's write, and the one that was not used for longest closes.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};
use tantivy::indexer::IndexWriterOptions;
use tantivy::{Directory, Index, IndexWriter};

use crate::error::IndexError;

/// Bytes of words gathered before tantivy writes a segment; it takes no less than 15 MB,
/// and only as they fill.
const WRITER_BYTES: usize = 32 << 20;

static MOST_OPEN: AtomicUsize = AtomicUsize::new(8);
static OPEN: Mutex<Vec<Weak<Writer>>> = Mutex::new(Vec::new());
static CLOCK: AtomicU64 = AtomicU64::new(0);

/// Sets how many of tantivy's writers are open in the process at once, from the next that opens
/// on. More stay open only while more collections are written at the same moment.
pub fn set_open_writers(most: std::num::NonZeroUsize) {
    MOST_OPEN.store(most.get(), Ordering::Relaxed);
}

/// One index's writer, open or not.
pub(super) struct Writer {
    index: Index,
    open: Mutex<Open>,
    /// When it was used last, by [`CLOCK`].
    used: AtomicU64,
}

#[derive(Default)]
struct Open {
    writer: Option<IndexWriter>,
    /// Whether it holds what is not committed.
    staged: bool,
}

/// A writer that is open, and stays so while this is held.
pub(super) struct InUse<'a>(MutexGuard<'a, Open>);

impl Writer {
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
            // Files of a commit that failed half-way are named as those of the next one would be,
            // and tantivy overwrites none.
            writer
                .garbage_collect_files()
                .wait()
                .map_err(IndexError::tantivy("remove files of no commit"))?;
            *open = Open {
                writer: Some(writer),
                staged: false,
            };
            OPEN.lock().push(Arc::downgrade(self));
        }
        Ok(InUse(open))
    }

    /// Forgets what is not committed.
    pub(super) fn roll_back(self: &Arc<Self>) {
        // Tantivy's own takes the folder's lock again and panics where it could not once.
        let writer = std::mem::take(&mut *self.open.lock());
        forget(self);
        drop(writer);
    }

    /// Waits for merges that are running.
    pub(super) fn close(self: &Arc<Self>) {
        let mut open = self.open.lock();
        close(self, &mut open);
    }

    /// Whether a file of the last commit, or all of them, is gone.
    pub(super) fn is_lost(&self) -> bool {
        let there = |path: &Path| self.index.directory().exists(path).unwrap_or(true);
        if !there(Path::new("meta.json")) {
            return true;
        }
        let segments = self.index.searchable_segment_metas().unwrap_or_default();
        let mut files = segments.iter().flat_map(super::files_of);
        files.any(|file| !there(&file))
    }
}

impl InUse<'_> {
    /// To change what the next commit holds.
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
        // It was opened before this was handed out, under the lock that this holds.
        let missing = || tantivy::TantivyError::SystemError("no writer is open".to_owned());
        let writer = self.0.writer.as_mut().ok_or_else(missing);
        writer.map_err(IndexError::tantivy("write"))
    }
}

/// Closes those that were not used for longest until one more may open. Those that are in use, or
/// hold what is not committed, stay.
fn make_room(wanted: &Arc<Writer>) {
    let most = MOST_OPEN.load(Ordering::Relaxed);
    let mut all: Vec<Arc<Writer>> = {
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

/// Under the writer's lock, so that nobody opens another over the same folder meanwhile.
fn close(writer: &Arc<Writer>, open: &mut Open) {
    let Some(closing) = std::mem::take(open).writer else {
        return;
    };
    forget(writer);
    // Merges would go on without their writer, and for nothing.
    if let Err(error) = closing.wait_merging_threads() {
        tracing::warn!(%error, "a merge of words failed; the next write tries again");
    }
}

fn forget(writer: &Arc<Writer>) {
    let is_other = |open: &Weak<Writer>| !std::ptr::eq(open.as_ptr(), Arc::as_ptr(writer));
    OPEN.lock().retain(is_other);
}
