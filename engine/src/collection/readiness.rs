//! Whether a collection's indexes hold all of its documents. While they do not, searches are
//! refused and documents are read: an answer that lacks some would not be told from a whole one.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clipdb_storage::CollectionName;
use parking_lot::{Condvar, Mutex};

use crate::error::{CatchingUp, EngineError};

/// Between two attempts to bring lost indexes up to date.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shared by the collection and its committer, which brings the indexes up to date.
pub(crate) struct Readiness {
    collection: CollectionName,
    state: Mutex<State>,
    changed: Condvar,
    /// Documents read so far to be indexed.
    read: AtomicU64,
    given_up: AtomicBool,
    /// When indexes that could not be brought up to date may be tried again.
    again: Mutex<Option<Instant>>,
}

enum State {
    Searchable,
    CatchingUp {
        since: Instant,
    },
    /// They could not be brought up to date, and why, until somebody asks.
    Lost(Option<EngineError>),
}

impl Readiness {
    pub(crate) fn new(collection: CollectionName) -> Self {
        Self {
            collection,
            state: Mutex::new(State::Searchable),
            changed: Condvar::new(),
            read: AtomicU64::new(0),
            given_up: AtomicBool::new(false),
            again: Mutex::new(None),
        }
    }

    /// From now on searches are refused, until [`Readiness::ended`].
    pub(crate) fn begin(&self) {
        self.read.store(0, Ordering::Relaxed);
        *self.state.lock() = State::CatchingUp {
            since: Instant::now(),
        };
    }

    /// One more document is read; an error when the collection is closing.
    pub(crate) fn record_progress(&self) -> Result<(), EngineError> {
        self.read.fetch_add(1, Ordering::Relaxed);
        if self.given_up.load(Ordering::Acquire) {
            return Err(EngineError::Stopping);
        }
        Ok(())
    }

    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
    }

    pub(crate) fn ended(&self, outcome: Result<(), EngineError>) {
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

    /// When requests need no longer wait for what is under way, if it was begun less than
    /// `patience` ago.
    pub(crate) fn due(&self, patience: Duration) -> Option<Instant> {
        let State::CatchingUp { since } = *self.state.lock() else {
            return None;
        };
        Some(since + patience).filter(|due| *due > Instant::now())
    }

    /// Of so many documents, while it lasts.
    pub(crate) fn progress(&self, documents: u64) -> Option<CatchingUp> {
        matches!(*self.state.lock(), State::CatchingUp { .. }).then(|| CatchingUp {
            read: self.read.load(Ordering::Relaxed),
            documents,
        })
    }

    /// Whether a search would miss nothing of the `documents`.
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

    /// Whether they could not be brought up to date and are to be tried again: what was missing, a
    /// file or room on the disk, may be there by now. `true` once in a while.
    pub(crate) fn try_again(&self) -> bool {
        if !matches!(*self.state.lock(), State::Lost(_)) {
            return false;
        }
        let mut again = self.again.lock();
        let now = Instant::now();
        let due = again.is_none_or(|again| again <= now);
        if due {
            *again = Some(now + PATIENCE);
        }
        due
    }

    /// Blocks until it is known whether the indexes can be searched, or until `deadline`.
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
    fn searches_are_refused_until_nothing_is_missing() {
        let readiness = Readiness::new("a".parse().unwrap());
        assert!(readiness.check(3).is_ok());
        readiness.begin();
        readiness.record_progress().unwrap();
        assert_eq!(
            readiness.check(3).unwrap_err().to_string(),
            "the search index of collection 'a' is being brought up to date: 1 of at most 3 \
             documents so far; documents can be read, and searches in a while"
        );
        let soon = Instant::now() + Duration::from_millis(5);
        assert!(readiness.wait(Some(soon)).is_ok());
        assert!(!readiness.is_searchable());
        readiness.ended(Ok(()));
        assert!(readiness.check(3).is_ok());
        readiness.begin();
        readiness.ended(Err(EngineError::Interrupted));
        assert!(matches!(
            readiness.wait(None),
            Err(EngineError::Interrupted)
        ));
        assert!(matches!(
            readiness.check(3),
            Err(EngineError::IndexUnavailable(_))
        ));
        assert!(readiness.try_again(), "at once");
        assert!(!readiness.try_again(), "and not with every search");
    }

    #[test]
    fn requests_wait_for_what_has_just_begun() {
        let readiness = Readiness::new("a".parse().unwrap());
        let patience = Duration::from_secs(60);
        assert_eq!(readiness.due(patience), None, "nothing is under way");
        readiness.begin();
        assert!(readiness.due(patience).is_some());
        assert_eq!(readiness.due(Duration::ZERO), None);
        readiness.ended(Ok(()));
        assert_eq!(readiness.due(patience), None);
    }

    #[test]
    fn a_closing_collection_is_not_caught_up() {
        let readiness = Readiness::new("a".parse().unwrap());
        readiness.give_up();
        assert!(matches!(
            readiness.record_progress(),
            Err(EngineError::Stopping)
        ));
    }
}
