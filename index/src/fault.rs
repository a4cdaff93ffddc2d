//! Faults that a test injects into writes. Without the feature `fault-injection` none can be
//! injected and a check costs nothing.

#[cfg(feature = "fault-injection")]
use std::io;

#[cfg(feature = "fault-injection")]
use parking_lot::Mutex;

use crate::error::IndexError;

/// A step of [`CollectionIndex::apply`](crate::CollectionIndex::apply) and of
/// [`reconcile`](crate::CollectionIndex::reconcile), in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteStep {
    /// Vectors are added to FAISS's segments. After a failure here nothing has changed.
    AddVectors,
    /// Documents are staged in tantivy's writer. After a failure here vectors are ahead of words.
    StageWords,
    /// Tantivy commits. After a failure here vectors are ahead of words.
    CommitWords,
    /// The index is compared with the documents and completed.
    Reconcile,
}

/// The faults of one index.
#[derive(Default)]
pub(crate) struct Faults {
    #[cfg(feature = "fault-injection")]
    next: Mutex<Vec<WriteStep>>,
}

impl Faults {
    /// Makes the next write that reaches `step` fail there, once.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn inject(&self, step: WriteStep) {
        self.next.lock().push(step);
    }

    /// Fails if a fault was injected into this step.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn reach(&self, step: WriteStep) -> Result<(), IndexError> {
        let mut next = self.next.lock();
        let Some(at) = next.iter().position(|injected| *injected == step) else {
            return Ok(());
        };
        next.remove(at);
        Err(IndexError::Io {
            doing: "write",
            path: format!("{step:?}").into(),
            source: io::Error::other("injected fault"),
        })
    }

    #[cfg(not(feature = "fault-injection"))]
    #[inline]
    #[allow(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "one signature with and without the feature"
    )]
    pub(crate) fn reach(&self, _: WriteStep) -> Result<(), IndexError> {
        Ok(())
    }
}
