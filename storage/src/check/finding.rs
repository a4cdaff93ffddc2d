//! What a check reports.

use serde::Serialize;

use crate::{CollectionName, StorageError};

/// Something that is not as it should be.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub kind: FindingKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<CollectionName>,
    /// The document, the file or the entry.
    pub what: String,
    pub reason: String,
    /// What was done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repaired: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Something of the source of truth is damaged.
    Damage,
    /// Documents of which nothing is left to be served or named.
    Lost,
    /// An index is damaged: it is made anew from the documents at the next start.
    Derived,
    /// A kill left it without an owner; the next start removes it.
    Leftover,
    /// Worth knowing, and no damage.
    Note,
}

impl Finding {
    pub fn new(kind: FindingKind, what: impl Into<String>, reason: impl Into<String>) -> Self {
        Finding {
            kind,
            collection: None,
            what: what.into(),
            reason: reason.into(),
            repaired: None,
        }
    }

    #[must_use]
    pub fn of(mut self, collection: &CollectionName) -> Self {
        self.collection = Some(collection.clone());
        self
    }

    pub(super) fn from_error(error: &StorageError) -> Self {
        match error {
            StorageError::Damaged { what, reason } => {
                Finding::new(FindingKind::Damage, what, reason)
            }
            other => Finding::new(FindingKind::Damage, "the data folder", other.to_string()),
        }
    }
}
