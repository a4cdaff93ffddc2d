//! Faults that a test injects into commits. Without the feature `fault-injection` nothing can be
//! injected and a check costs nothing.

use std::fmt;
use std::io;

#[cfg(feature = "fault-injection")]
use parking_lot::Mutex;

/// A step of a commit, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitStep {
    /// The files of new images are written. A failure here changes nothing; the store goes on
    /// taking writes. Only groups with a new image reach this step.
    WriteImages,
    /// The batch is applied to sled's memory. After a failure here the image files lie without a
    /// document, the group is absent, and the store is stopped until it has opened sled again, which
    /// it tries at once.
    ApplyBatch,
    /// sled's log is flushed. After a failure here the store is stopped until it has opened sled
    /// again; the group, which nobody has acknowledged, may be there or not.
    Flush,
    /// The log is synced to the disk. After a failure here the group can be read, and the store is
    /// stopped until the folder is opened again.
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

/// Whether sled would be broken by the failure that this error stands for.
pub(crate) fn is_injected(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<InjectedFault>))
}
