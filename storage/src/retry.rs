//! Calls of sled that are tried again, where that is safe and gets past a passing failure.

use std::time::Duration;

use sled::{Batch, Db};

use crate::tree::is_broken;

/// Attempts of a batch that failed without breaking sled, and the pause between two.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// A batch says what is there after it, so one that failed half-way is done again: files may have
/// been all in use for a moment. What breaks sled fails each time, at once.
pub(crate) fn apply_again(db: &Db, tree: &sled::Tree, batch: &Batch) -> sled::Result<()> {
    let apply = || past_damage(|| tree.apply_batch(batch.clone()));
    let mut done = apply();
    for _ in 1..ATTEMPTS {
        match &done {
            Err(sled::Error::Io(_)) if !is_broken(db) => {
                std::thread::sleep(PAUSE);
                done = apply();
            }
            _ => break,
        }
    }
    done
}

/// Pages that cannot be read and that one call gets past.
const UNREADABLE: usize = 16;

/// While it reads or writes, sled moves pages of any tree out of the way, each once, and fails the
/// call where it cannot read one. A damaged collection would so stop the calls of all others. A
/// read changes nothing, and a batch says what is there after it: done again, it is as if it had
/// been done once. What fails each time is damaged itself.
pub(crate) fn past_damage<T>(call: impl Fn() -> sled::Result<T>) -> sled::Result<T> {
    let mut done = call();
    for _ in 0..UNREADABLE {
        match done {
            Err(error @ sled::Error::Corruption { .. }) => {
                done = call();
                if done.is_ok() {
                    tracing::warn!(%error, "a page of another collection cannot be read");
                }
            }
            done => return done,
        }
    }
    done
}
