//! Limits how many collections have their indexes open: the most recently used ones stay open, the
//! others stay on disk until a request needs them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Weak};

use clipdb_index::CollectionIndex;
use clipdb_storage::CollectionName;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// A collection whose indexes are open.
pub(crate) trait IndexOwner: Send + Sync {
    fn name(&self) -> &CollectionName;

    /// When the indexes were last used, by [`OpenIndexes::now`].
    fn used(&self) -> u64;

    /// Closes the indexes unless they are in use. Blocks.
    fn close_index_if_unused(&self);

    /// Whether the stored vectors still have to be verified; `true` once only.
    fn claim_verification(&self, index: &CollectionIndex) -> bool;

    /// Refuses searches until the indexes agree with the documents.
    fn begin_reconcile(self: Arc<Self>);
}

pub(crate) struct OpenIndexes {
    most: usize,
    all: Mutex<Vec<Weak<dyn IndexOwner>>>,
    count: AtomicUsize,
    clock: AtomicU64,
    /// Limits how many indexes requests open at the same time.
    pub(crate) openers: Arc<Semaphore>,
    verifier: Sender<Unverified>,
}

/// An index whose stored vectors have to be verified.
type Unverified = (Weak<dyn IndexOwner>, Weak<CollectionIndex>);

impl OpenIndexes {
    pub(crate) fn start(most: usize, openers: usize) -> std::io::Result<Self> {
        let (verifier, unverified) = mpsc::channel();
        std::thread::Builder::new()
            .name("verify".to_owned())
            .spawn(move || verify_all(unverified))?;
        Ok(Self {
            most: most.max(1),
            all: Mutex::default(),
            count: AtomicUsize::new(0),
            clock: AtomicU64::new(0),
            openers: Arc::new(Semaphore::new(openers)),
            verifier,
        })
    }

    /// The number of open indexes.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// A logical timestamp, which orders the uses of indexes.
    pub(crate) fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    /// Registers an index that was just opened.
    pub(crate) fn add(&self, owner: &Arc<dyn IndexOwner>, index: &Arc<CollectionIndex>) {
        let mut all = self.all.lock();
        all.push(Arc::downgrade(owner));
        self.count.store(all.len(), Ordering::Relaxed);
        drop(all);
        if owner.claim_verification(index) {
            // The thread lives as long as `self`, so it receives this.
            let _ = self
                .verifier
                .send((Arc::downgrade(owner), Arc::downgrade(index)));
        }
    }

    pub(crate) fn remove(&self, owner: &dyn IndexOwner) {
        let mut all = self.all.lock();
        all.retain(|open| !std::ptr::addr_eq(open.as_ptr(), owner) && open.strong_count() > 0);
        self.count.store(all.len(), Ordering::Relaxed);
    }

    /// Closes indexes beyond the limit that are not in use, the least recently used first. Several
    /// threads may trim at once. Blocks; a caller that holds a committer's turn must not call it.
    pub(crate) fn trim(&self) {
        if self.len() <= self.most {
            return;
        }
        let mut all: Vec<Arc<dyn IndexOwner>> =
            self.all.lock().iter().filter_map(Weak::upgrade).collect();
        all.sort_by_cached_key(|owner| owner.used());
        for owner in all {
            if self.len() <= self.most {
                break;
            }
            // Skips an index that is being written, searched, built or closed.
            owner.close_index_if_unused();
        }
    }
}

/// Verifies all stored vectors in the background, while requests are served: startup would take too
/// long with a million vectors.
fn verify_all(unverified: Receiver<Unverified>) {
    for (owner, index) in unverified {
        let (Some(owner), Some(index)) = (owner.upgrade(), index.upgrade()) else {
            continue;
        };
        match index.verify() {
            Ok(lost) if lost.is_empty() => {}
            Ok(lost) => {
                tracing::warn!(collection = %owner.name(), ?lost, "corrupt vectors were left out; they are read from the documents again");
                owner.begin_reconcile();
            }
            Err(error) => {
                tracing::warn!(collection = %owner.name(), %error, "could not verify the stored vectors");
            }
        }
    }
}
