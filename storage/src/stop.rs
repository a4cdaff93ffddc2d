//! Why storage takes no writes, and whether it recovers without a restart.

use crate::{StorageError, clock};

/// The kind of failure that has stopped writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// sled has failed to write its log and writes nothing any more. The disk has a consistent state
    /// up to some group; reopening sled recovers it as after a crash.
    Broken,
    /// sled has part of a batch in memory and may still write it.
    Half,
    /// The kernel could not write back pages: data that can be read may not be on the disk.
    NotSynced,
    /// The reopened database lacks acknowledged writes.
    Lost,
}

/// The state of storage that takes no writes.
#[derive(Clone, Debug)]
pub struct Stopped {
    stop: Stop,
    /// The error of the failed write.
    pub reason: String,
    /// The time of the failure in Unix milliseconds.
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

    /// Whether storage reopens itself as soon as that is possible.
    pub fn heals(&self) -> bool {
        self.stop == Stop::Broken
    }

    /// The remedy: an instruction for the operator.
    pub fn remedy(&self) -> &'static str {
        match self.stop {
            Stop::Broken => {
                "storage reopens itself as soon as the disk accepts writes: free some space if the disk is full"
            }
            Stop::Half => "restart the server",
            Stop::NotSynced => "check the disk and the kernel log, then restart the server",
            Stop::Lost => {
                "restart the server: it reports damaged collections and serves the others"
            }
        }
    }

    /// The error of every write.
    pub fn error(&self) -> StorageError {
        StorageError::Stopped {
            reason: self.reason.clone(),
            remedy: self.remedy(),
        }
    }
}
