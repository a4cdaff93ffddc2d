//! A collection's indexes, which lie on disk until they are used.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clipdb_index::{CollectionIndex, SegmentSize, State};
use clipdb_storage::CollectionStore;
use parking_lot::{Mutex, RwLock};

use crate::collection::closed::Closed;
use crate::collection::definition::index_configuration;
use crate::collection::readiness::Readiness;
use crate::error::EngineError;

pub(crate) struct LazyIndex {
    store: CollectionStore,
    folder: PathBuf,
    readiness: Arc<Readiness>,
    open: RwLock<Option<Arc<CollectionIndex>>>,
    /// Held by the one who opens or closes it; why it is closed for good.
    changing: Mutex<Option<Closed>>,
    /// When it was used last.
    used: AtomicU64,
    /// Whether every stored vector was read once since the process started.
    verified: AtomicBool,
}

/// An index, and whether this call has opened it.
pub(crate) struct Opened {
    pub(crate) index: Arc<CollectionIndex>,
    pub(crate) is_new: bool,
}

/// What is known of an index without opening it.
pub(crate) type Peeked = [Vec<SegmentSize>; 2];

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

    /// The index, where it is open.
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

    /// The index, opened where it is not. Where it lacks documents the readiness says so from now
    /// on, and the committer has to bring it up to date. Blocks.
    pub(crate) fn open(&self) -> Result<Opened, EngineError> {
        if let Some(index) = self.get() {
            return Ok(Opened {
                index,
                is_new: false,
            });
        }
        let closed = self.changing.lock();
        if let Some(why) = *closed {
            return Err(why.error(&self.store.definition().name));
        }
        // Another has opened it meanwhile.
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

    /// Opens an index in the place of one whose files are gone, made of what is there of it.
    /// For the one who writes: nothing is committed meanwhile. Blocks.
    pub(crate) fn reopen(&self) -> Result<Arc<CollectionIndex>, EngineError> {
        let closed = self.changing.lock();
        if let Some(why) = *closed {
            return Err(why.error(&self.store.definition().name));
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
            // It was lost in memory alone.
            self.readiness.ended(Ok(()));
        }
        Ok(Arc::new(index))
    }

    /// Whether stored vectors are still to be verified; they are from now on.
    pub(crate) fn take_unverified(&self, index: &CollectionIndex) -> bool {
        index.has_stored_vectors() && !self.verified.swap(true, Ordering::AcqRel)
    }

    /// Closes it unless somebody uses it; whether it did. `closing` is called before anybody can
    /// open it again. Blocks.
    pub(crate) fn close_if_unused(&self, closing: impl FnOnce()) -> bool {
        let Some(_alone) = self.changing.try_lock() else {
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
        closing();
        // Whoever opens it again waits until all of it is on disk.
        if let Some(index) = index
            && let Err(error) = index.close()
        {
            tracing::warn!(collection = %self.store.definition().name, %error, "the newest vectors were not written to disk; they are read from the documents when the index is opened");
        }
        true
    }

    /// Closes it for good; saved where it may be used again. Blocks.
    pub(crate) fn close(&self, why: Closed) {
        let mut closed = self.changing.lock();
        *closed = Some(why);
        let Some(index) = self.open.write().take() else {
            return;
        };
        index.stop_building();
        if why != Closed::Dropped
            && let Err(error) = index.save()
        {
            tracing::warn!(%error, "the newest vectors were not written to disk; the next start reads them from the documents");
        }
    }

    /// What is known of it from its file of segments; none where that is behind the documents.
    pub(crate) fn peek(&self) -> Option<Peeked> {
        if self.store.is_empty() {
            return Some([Vec::new(), Vec::new()]);
        }
        let dim = self.store.definition().dim;
        CollectionIndex::peek(&self.folder, dim, self.store.sequence())
    }
}
