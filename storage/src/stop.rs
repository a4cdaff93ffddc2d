//! Why storage takes no writes, and whether it will take some again without a restart.

use crate::{StorageError, clock};

/// What stopped the writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// sled met an error while it wrote to its log and writes nothing any more. What is on the disk
    /// is whole up to some group; opening it again is what a start after a kill does.
    Broken,
    /// sled holds a part of a batch in memory and may write it.
    Half,
    /// The system could not write back what it had taken: what is read need not be on the disk.
    NotSynced,
    /// What was opened again is not all that had been acknowledged.
    Lost,
}

/// Storage that takes no writes.
#[derive(Clone, Debug)]
pub struct Stopped {
    stop: Stop,
    /// What failed.
    pub reason: String,
    /// Unix milliseconds.
    pub since: u64,
}

impl Stopped {
    pub(crate) fn new(stop: Stop, reason: String) -> Self {
        Self {
            stop,
            reason,
            since: clock::unix_ms(),
        }
    }

    /// Whether storage is opened again by itself as soon as it can be.
    pub fn heals(&self) -> bool {
        self.stop == Stop::Broken
    }

    /// What there is to do.
    pub fn remedy(&self) -> &'static str {
        match self.stop {
            Stop::Broken => {
                "storage is opened again by itself as soon as the disk takes writes: free some space if it ran out"
            }
            Stop::Half => "restart the server",
            Stop::NotSynced => "look at the disk and its kernel log, then restart the server",
            Stop::Lost => {
                "restart the server: it names the collections that are damaged, and serves the others"
            }
        }
    }

    /// What writes are answered.
    pub fn error(&self) -> StorageError {
        StorageError::Stopped {
            reason: self.reason.clone(),
            remedy: self.remedy(),
        }
    }
}
