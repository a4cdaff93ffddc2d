//! Which collections have their indexes open: as many as the settings allow, those that were used
//! last. The others lie on disk until somebody asks for them.

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

    /// When the indexes were used last, by [`OpenIndexes::now`].
    fn used(&self) -> u64;

    /// Closes the indexes unless they are in use. Blocks.
    fn close_index_if_unused(&self);

    /// Whether the stored vectors are still to be verified; they are from now on.
    fn take_unverified(&self, index: &CollectionIndex) -> bool;

    /// Refuses searches until the indexes agree with the documents.
    fn begin_reconcile(self: Arc<Self>);
}

pub(crate) struct OpenIndexes {
    most: usize,
    all: Mutex<Vec<Weak<dyn IndexOwner>>>,
    count: AtomicUsize,
    clock: AtomicU64,
    /// Indexes that requests open at the same time.
    pub(crate) openers: Arc<Semaphore>,
    verifier: Sender<Unverified>,
}

/// An index whose stored vectors are to be read once.
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

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// A moment, for the order in which they were used.
    pub(crate) fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    /// It was just opened.
    pub(crate) fn add(&self, owner: &Arc<dyn IndexOwner>, index: &Arc<CollectionIndex>) {
        let mut all = self.all.lock();
        all.push(Arc::downgrade(owner));
        self.count.store(all.len(), Ordering::Relaxed);
        drop(all);
        if owner.take_unverified(index) {
            // The thread ends with this.
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

    /// Closes what is open beyond the limit and not in use, what was used last at last. Several may
    /// do so at once, each with others. Blocks; not for a caller that holds a collection's turn.
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
            // One that is being written, searched, built or closed is passed over.
            owner.close_index_if_unused();
        }
    }
}

/// Reads every stored vector once while collections are served already: at a million vectors that
/// takes longer than anybody wants to wait for a start.
fn verify_all(unverified: Receiver<Unverified>) {
    for (owner, index) in unverified {
        let (Some(owner), Some(index)) = (owner.upgrade(), index.upgrade()) else {
            continue;
        };
        match index.verify() {
            Ok(lost) if lost.is_empty() => {}
            Ok(lost) => {
                tracing::warn!(collection = %owner.name(), ?lost, "damaged vectors were left out: they are read from the documents");
                owner.begin_reconcile();
            }
            Err(error) => {
                tracing::warn!(collection = %owner.name(), %error, "the stored vectors could not be verified");
            }
        }
    }
}
