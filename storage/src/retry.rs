//! Retries of sled calls after temporary failures, where a retry is safe.

use std::time::Duration;

use sled::{Batch, Db};

use crate::tree::is_broken;

/// Attempts of a batch that fails without breaking sled, and the pause between two.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Applies a batch, with retries if it fails without breaking sled: the process may have reached its
/// limit of open files for a moment. A batch is idempotent, so a partially applied one can be repeated.
/// A broken sled fails immediately.
pub(crate) fn apply_with_retries(db: &Db, tree: &sled::Tree, batch: &Batch) -> sled::Result<()> {
    let apply = || retry_corruption(|| tree.apply_batch(batch.clone()));
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

/// The maximum number of corrupt pages that one call skips.
const MAX_CORRUPT_PAGES: usize = 16;

/// Repeats a call that meets a corrupt page of another tree. During reads and writes sled evicts pages
/// of any tree, each once, and fails the call if it cannot read one, so a corrupt collection would fail
/// calls on all others. Reads and batches are idempotent. A call that fails every time meets corruption
/// of its own tree.
pub(crate) fn retry_corruption<T>(call: impl Fn() -> sled::Result<T>) -> sled::Result<T> {
    let mut result = call();
    for _ in 0..MAX_CORRUPT_PAGES {
        match result {
            Err(error @ sled::Error::Corruption { .. }) => {
                result = call();
                if result.is_ok() {
                    tracing::warn!(%error, "a page of another collection cannot be read");
                }
            }
            result => return result,
        }
    }
    result
}
