//! Tracks whether a collection's indexes hold all of its documents. While they do not, searches are
//! refused, because a partial result would look complete; documents can be read.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clipdb_storage::CollectionName;
use parking_lot::{Condvar, Mutex};

use crate::error::{CatchingUp, EngineError};

/// The interval between two attempts to bring lost indexes up to date.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Shared by the collection and its committer, which brings the indexes up to date.
pub(crate) struct Readiness {
    collection: CollectionName,
    state: Mutex<State>,
    changed: Condvar,
    /// Documents read until now to be indexed.
    read: AtomicU64,
    cancelled: AtomicBool,
    /// When the next attempt to bring lost indexes up to date is due.
    retry_at: Mutex<Option<Instant>>,
}

enum State {
    Searchable,
    CatchingUp {
        since: Instant,
    },
    /// They could not be brought up to date. The reason is taken by the first caller of `wait`.
    Lost(Option<EngineError>),
}

impl Readiness {
    pub(crate) fn new(collection: CollectionName) -> Self {
        Self {
            collection,
            state: Mutex::new(State::Searchable),
            changed: Condvar::new(),
            read: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            retry_at: Mutex::new(None),
        }
    }

    /// Refuses searches until [`Readiness::finish`].
    pub(crate) fn begin(&self) {
        self.read.store(0, Ordering::Relaxed);
        *self.state.lock() = State::CatchingUp {
            since: Instant::now(),
        };
    }

    /// Counts one more document as read; fails if the collection is closing.
    pub(crate) fn record_progress(&self) -> Result<(), EngineError> {
        self.read.fetch_add(1, Ordering::Relaxed);
        if self.cancelled.load(Ordering::Acquire) {
            return Err(EngineError::Stopping);
        }
        Ok(())
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    pub(crate) fn finish(&self, outcome: Result<(), EngineError>) {
        *self.state.lock() = match outcome {
            Ok(()) => State::Searchable,
            Err(error) => State::Lost(Some(error)),
        };
        self.changed.notify_all();
    }

    pub(crate) fn is_searchable(&self) -> bool {
        matches!(*self.state.lock(), State::Searchable)
    }

    /// Whether they could not be brought up to date.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(*self.state.lock(), State::Lost(_))
    }

    /// Until when requests wait for indexes that are catching up; `None` if they are not, or have
    /// been for longer than `patience`.
    pub(crate) fn due(&self, patience: Duration) -> Option<Instant> {
        let State::CatchingUp { since } = *self.state.lock() else {
            return None;
        };
        Some(since + patience).filter(|due| *due > Instant::now())
    }

    /// How many of the `documents` were read until now, while the indexes are catching up.
    pub(crate) fn progress(&self, documents: u64) -> Option<CatchingUp> {
        matches!(*self.state.lock(), State::CatchingUp { .. }).then(|| CatchingUp {
            read: self.read.load(Ordering::Relaxed),
            documents,
        })
    }

    /// Fails if a search would miss some of the `documents`.
    pub(crate) fn check(&self, documents: u64) -> Result<(), EngineError> {
        if let Some(progress) = self.progress(documents) {
            return Err(EngineError::CatchingUp {
                collection: self.collection.clone(),
                progress,
            });
        }
        if self.is_searchable() {
            return Ok(());
        }
        Err(EngineError::IndexUnavailable(self.collection.clone()))
    }

    /// Whether lost indexes should be brought up to date again: the cause, such as a missing file or
    /// a full disk, may be gone by now. `true` at most once per [`RETRY_INTERVAL`].
    pub(crate) fn should_retry(&self) -> bool {
        if !matches!(*self.state.lock(), State::Lost(_)) {
            return false;
        }
        let mut retry_at = self.retry_at.lock();
        let now = Instant::now();
        let due = retry_at.is_none_or(|retry_at| retry_at <= now);
        if due {
            *retry_at = Some(now + RETRY_INTERVAL);
        }
        due
    }

    /// Blocks until the indexes can be searched or are lost, or until `deadline`.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Result<(), EngineError> {
        let mut state = self.state.lock();
        while matches!(*state, State::CatchingUp { .. }) {
            match deadline {
                None => self.changed.wait(&mut state),
                Some(deadline) => {
                    if self.changed.wait_until(&mut state, deadline).timed_out() {
                        return Ok(());
                    }
                }
            }
        }
        match &mut *state {
            State::Lost(error) => Err(mem::take(error)
                .unwrap_or_else(|| EngineError::IndexUnavailable(self.collection.clone()))),
            State::Searchable | State::CatchingUp { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn searches_are_refused_until_every_document_is_indexed() {
        let readiness = Readiness::new("a".parse().unwrap());
        assert!(readiness.check(3).is_ok());
        readiness.begin();
        readiness.record_progress().unwrap();
        assert_eq!(
            readiness.check(3).unwrap_err().to_string(),
            "the search index of collection 'a' is being brought up to date: 1 of at most 3 \
             documents are done; documents can be read now and searched in a while"
        );
        let soon = Instant::now() + Duration::from_millis(5);
        assert!(readiness.wait(Some(soon)).is_ok());
        assert!(!readiness.is_searchable());
        readiness.finish(Ok(()));
        assert!(readiness.check(3).is_ok());
        readiness.begin();
        readiness.finish(Err(EngineError::Interrupted));
        assert!(matches!(
            readiness.wait(None),
            Err(EngineError::Interrupted)
        ));
        assert!(matches!(
            readiness.check(3),
            Err(EngineError::IndexUnavailable(_))
        ));
        assert!(readiness.should_retry(), "immediately");
        assert!(!readiness.should_retry(), "but not with every search");
    }

    #[test]
    fn requests_wait_for_indexes_that_just_began_to_catch_up() {
        let readiness = Readiness::new("a".parse().unwrap());
        let patience = Duration::from_secs(60);
        assert_eq!(readiness.due(patience), None, "nothing is in progress");
        readiness.begin();
        assert!(readiness.due(patience).is_some());
        assert_eq!(readiness.due(Duration::ZERO), None);
        readiness.finish(Ok(()));
        assert_eq!(readiness.due(patience), None);
    }

    #[test]
    fn a_closing_collection_stops_catching_up() {
        let readiness = Readiness::new("a".parse().unwrap());
        readiness.cancel();
        assert!(matches!(
            readiness.record_progress(),
            Err(EngineError::Stopping)
        ));
    }
}
