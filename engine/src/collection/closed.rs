//! Why a collection is closed for good.

use clipdb_storage::CollectionName;

use crate::error::EngineError;

/// Why a collection takes no more work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    Stopping,
    Dropped,
    /// A restore took its collection's place.
    Replaced,
}

impl Closed {
    /// What whoever uses it afterwards is answered.
    pub(crate) fn error(self, name: &CollectionName) -> EngineError {
        match self {
            Self::Stopping => EngineError::Stopping,
            Self::Dropped => EngineError::CollectionNotFound(name.clone()),
            Self::Replaced => EngineError::CollectionReplaced(name.clone()),
        }
    }
}
