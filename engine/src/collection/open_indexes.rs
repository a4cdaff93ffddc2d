//! Which collections have their indexes open: as many as the settings allow, those that were used
//! last. The others lie on disk until somebody asks for them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Weak};

use clipdb_index::CollectionIndex;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::collection::committer::Committer;

pub(crate) struct OpenIndexes {
    most: usize,
    all: Mutex<Vec<Weak<Committer>>>,
    count: AtomicUsize,
    clock: AtomicU64,
    /// Indexes that requests open at the same time.
    pub(crate) openers: Arc<Semaphore>,
    verifier: Sender<Unverified>,
}

/// An index whose stored vectors are to be read once.
type Unverified = (Weak<Committer>, Weak<CollectionIndex>);

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
    pub(crate) fn add(&self, committer: &Arc<Committer>, index: &Arc<CollectionIndex>) {
        let mut all = self.all.lock();
        all.push(Arc::downgrade(committer));
        self.count.store(all.len(), Ordering::Relaxed);
        drop(all);
        if committer.take_unverified(index) {
            // The thread ends with this.
            let _ = self
                .verifier
                .send((Arc::downgrade(committer), Arc::downgrade(index)));
        }
    }

    pub(crate) fn remove(&self, committer: &Committer) {
        let mut all = self.all.lock();
        all.retain(|open| !std::ptr::eq(open.as_ptr(), committer) && open.strong_count() > 0);
        self.count.store(all.len(), Ordering::Relaxed);
    }

    /// Closes what is open beyond the limit and not in use, what was used last at last. Several may
    /// do so at once, each with others. Blocks; not for a caller that holds a collection's turn.
    pub(crate) fn trim(&self) {
        if self.len() <= self.most {
            return;
        }
        let mut all: Vec<Arc<Committer>> =
            self.all.lock().iter().filter_map(Weak::upgrade).collect();
        all.sort_by_cached_key(|committer| committer.used());
        for committer in all {
            if self.len() <= self.most {
                break;
            }
            // One that is being written, searched, built or closed is passed over.
            committer.close_index_if_unused();
        }
    }
}

/// Reads every stored vector once while collections are served already: at a million vectors that
/// takes longer than anybody wants to wait for a start.
fn verify_all(unverified: Receiver<Unverified>) {
    for (committer, index) in unverified {
        let (Some(committer), Some(index)) = (committer.upgrade(), index.upgrade()) else {
            continue;
        };
        match index.verify() {
            Ok(lost) if lost.is_empty() => {}
            Ok(lost) => {
                tracing::warn!(collection = %committer.name(), ?lost, "damaged vectors were left out: they are read from the documents");
                committer.begin_reconcile();
            }
            Err(error) => {
                tracing::warn!(collection = %committer.name(), %error, "the stored vectors could not be verified");
            }
        }
    }
}
