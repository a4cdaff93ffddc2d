//! Fault injection into commits, for tests. Without the feature `fault-injection` no fault can be
//! injected, and the checks compile to nothing.

use std::fmt;
use std::io;

#[cfg(feature = "fault-injection")]
use parking_lot::Mutex;

/// A step of a commit, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitStep {
    /// Writing the files of new images. A failure changes nothing, and the store continues to accept
    /// writes. Only groups with a new image reach this step.
    WriteImages,
    /// Applying the batch to sled. After a failure the group is absent, its image files are left
    /// without a document, and writes are stopped until the store has reopened sled, which it tries
    /// immediately.
    ApplyBatch,
    /// Flushing the log of sled. After a failure writes are stopped until the store has reopened sled.
    /// The group is not acknowledged, and may be present or absent.
    Flush,
    /// Syncing the log to the disk. After a failure the group can be read, and writes are stopped until
    /// the data folder is opened again.
    Sync,
}

/// The faults of one store.
#[derive(Default)]
pub(crate) struct Faults {
    #[cfg(feature = "fault-injection")]
    next: Mutex<Option<(CommitStep, io::ErrorKind)>>,
}

impl Faults {
    /// Makes the next commit that reaches `step` fail there, once, with an error of this kind.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn inject(&self, step: CommitStep, kind: io::ErrorKind) {
        *self.next.lock() = Some((step, kind));
    }

    /// Fails if a fault was injected into this step.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn reach(&self, step: CommitStep) -> io::Result<()> {
        let injected = self.next.lock().take_if(|(at, _)| *at == step);
        match injected {
            Some((_, kind)) => Err(io::Error::new(kind, InjectedFault(step))),
            None => Ok(()),
        }
    }

    #[cfg(not(feature = "fault-injection"))]
    #[inline]
    #[allow(
        clippy::unused_self,
        reason = "one signature with and without the feature"
    )]
    pub(crate) fn reach(&self, _: CommitStep) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct InjectedFault(CommitStep);

impl fmt::Display for InjectedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "injected fault at {:?}", self.0)
    }
}

impl std::error::Error for InjectedFault {}

/// Whether the error was injected. It stands for a failure that breaks sled.
pub(crate) fn is_injected(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<InjectedFault>))
}
