//! The reasons for closing a collection for good.

use clipdb_storage::CollectionName;

use crate::error::EngineError;

/// Why a collection accepts no more work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    Stopping,
    Dropped,
    /// A restore replaced it.
    Replaced,
}

impl CloseReason {
    /// The error of every later use of the collection.
    pub(crate) fn error(self, name: &CollectionName) -> EngineError {
        match self {
            Self::Stopping => EngineError::Stopping,
            Self::Dropped => EngineError::CollectionNotFound(name.clone()),
            Self::Replaced => EngineError::CollectionReplaced(name.clone()),
        }
    }
}
