//! A collection's indexes, which stay on disk until they are used.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clipdb_index::{CollectionIndex, SegmentSize, State};
use clipdb_storage::CollectionStore;
use parking_lot::{Mutex, RwLock};

use crate::collection::closed::CloseReason;
use crate::collection::definition::index_configuration;
use crate::collection::readiness::Readiness;
use crate::error::EngineError;

pub(crate) struct LazyIndex {
    store: CollectionStore,
    folder: PathBuf,
    readiness: Arc<Readiness>,
    open: RwLock<Option<Arc<CollectionIndex>>>,
    /// Held while the index is opened or closed; the reason once it is closed for good.
    changing: Mutex<Option<CloseReason>>,
    /// When it was last used, by [`OpenIndexes::now`](super::open_indexes::OpenIndexes::now).
    used: AtomicU64,
    /// Whether the stored vectors have been verified since startup, or are about to be.
    verified: AtomicBool,
}

/// An open index, and whether this call opened it.
pub(crate) struct Opened {
    pub(crate) index: Arc<CollectionIndex>,
    pub(crate) is_new: bool,
}

/// The sizes of the segments of images and of texts.
pub(crate) type SegmentSizes = [Vec<SegmentSize>; 2];

impl LazyIndex {
    pub(crate) fn new(store: CollectionStore, folder: PathBuf, readiness: Arc<Readiness>) -> Self {
        Self {
            store,
            folder,
            readiness,
            open: RwLock::default(),
            changing: Mutex::default(),
            used: AtomicU64::new(0),
            verified: AtomicBool::new(false),
        }
    }

    /// The index, if it is open.
    pub(crate) fn get(&self) -> Option<Arc<CollectionIndex>> {
        self.open.read().clone()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.read().is_some()
    }

    pub(crate) fn touch(&self, now: u64) {
        self.used.store(now, Ordering::Relaxed);
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Opens the index if it is not open. If it lacks documents, marks the collection as catching up;
    /// the committer has to bring the index up to date. Blocks.
    pub(crate) fn open(&self) -> Result<Opened, EngineError> {
        if let Some(index) = self.get() {
            return Ok(Opened {
                index,
                is_new: false,
            });
        }
        let closed = self.changing.lock();
        if let Some(reason) = *closed {
            return Err(reason.error(&self.store.definition().name));
        }
        // Another thread may have opened it while this one waited.
        if let Some(index) = self.get() {
            return Ok(Opened {
                index,
                is_new: false,
            });
        }
        let index = self.open_from_disk()?;
        *self.open.write() = Some(Arc::clone(&index));
        Ok(Opened {
            index,
            is_new: true,
        })
    }

    /// Replaces an index whose files are gone by one opened from the remaining files. Only the thread
    /// that commits may call it, so that no commit happens in between. Blocks.
    pub(crate) fn reopen(&self) -> Result<Arc<CollectionIndex>, EngineError> {
        let closed = self.changing.lock();
        if let Some(reason) = *closed {
            return Err(reason.error(&self.store.definition().name));
        }
        if let Some(lost) = self.open.write().take() {
            lost.abandon();
        }
        let index = self.open_from_disk()?;
        *self.open.write() = Some(Arc::clone(&index));
        Ok(index)
    }

    fn open_from_disk(&self) -> Result<Arc<CollectionIndex>, EngineError> {
        let definition = self.store.definition();
        let configuration = index_configuration(definition)?;
        let (index, opened) = CollectionIndex::open(&self.folder, &configuration)?;
        let sequence = self.store.sequence();
        let current = State::Loaded { sequence };
        if opened.vectors != current || opened.words != current {
            tracing::info!(
                collection = %definition.name,
                vectors = %opened.vectors,
                words = %opened.words,
                sequence,
                "bringing the search index up to date"
            );
            self.readiness.begin();
        } else if !self.readiness.is_searchable() {
            // Only the state in memory was lost.
            self.readiness.finish(Ok(()));
        }
        Ok(Arc::new(index))
    }

    /// Whether the stored vectors still have to be verified; `true` once only.
    pub(crate) fn claim_verification(&self, index: &CollectionIndex) -> bool {
        index.has_stored_vectors() && !self.verified.swap(true, Ordering::AcqRel)
    }

    /// Closes the index unless it is in use, and returns whether it did. Calls `on_close` before the
    /// index can be opened again. Blocks.
    pub(crate) fn close_if_unused(&self, on_close: impl FnOnce()) -> bool {
        let Some(_guard) = self.changing.try_lock() else {
            return false;
        };
        let index = {
            let mut open = self.open.write();
            let unused = open
                .as_ref()
                .is_some_and(|index| Arc::strong_count(index) == 1 && !index.builds().in_progress);
            if !unused {
                return false;
            }
            open.take()
        };
        on_close();
        // `changing` is still held: reopening waits until the index is on disk.
        if let Some(index) = index
            && let Err(error) = index.close()
        {
            tracing::warn!(collection = %self.store.definition().name, %error, "could not write the newest vectors to disk; they are read from the documents when the index is opened");
        }
        true
    }

    /// Closes the index for good, and saves it unless the collection was dropped. Blocks.
    pub(crate) fn close(&self, reason: CloseReason) {
        let mut closed = self.changing.lock();
        *closed = Some(reason);
        let Some(index) = self.open.write().take() else {
            return;
        };
        index.stop_building();
        if reason != CloseReason::Dropped
            && let Err(error) = index.save()
        {
            tracing::warn!(%error, "could not write the newest vectors to disk; the next startup reads them from the documents");
        }
    }

    /// Its segment sizes, read from the file that lists them; `None` if that file is behind the
    /// documents.
    pub(crate) fn peek(&self) -> Option<SegmentSizes> {
        if self.store.is_empty() {
            return Some([Vec::new(), Vec::new()]);
        }
        let dim = self.store.definition().dim;
        CollectionIndex::peek(&self.folder, dim, self.store.sequence())
    }
}
