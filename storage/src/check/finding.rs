//! The findings of a check.

use serde::Serialize;

use crate::{CollectionName, StorageError};

/// An item that is not as it should be.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The kind of finding.
    pub kind: FindingKind,
    /// The kind of item.
    #[serde(skip)]
    pub subject: FindingSubject,
    /// The collection, unless the finding concerns the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<CollectionName>,
    /// The item: a document, a file or an entry.
    pub what: String,
    /// The reason.
    pub reason: String,
    /// The repair, if it was repaired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repaired: Option<String>,
}

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Stored data is corrupt or lost.
    Damage,
    /// Documents are lost without a readable record or id.
    Lost,
    /// An index is corrupt; it is rebuilt from the documents at the next startup.
    Derived,
    /// A leftover of a crash; it is removed at the next startup.
    Leftover,
    /// Information that is not about corruption.
    Note,
}

/// The kind of item that a finding is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FindingSubject {
    /// A document.
    Document,
    /// The file of an image.
    ImageFile,
    /// Anything else.
    #[default]
    Other,
}

impl Finding {
    /// A finding about the data folder.
    pub fn new(kind: FindingKind, what: impl Into<String>, reason: impl Into<String>) -> Self {
        Finding {
            kind,
            subject: FindingSubject::Other,
            collection: None,
            what: what.into(),
            reason: reason.into(),
            repaired: None,
        }
    }

    /// The finding, about this collection.
    #[must_use]
    pub fn of(mut self, collection: &CollectionName) -> Self {
        self.collection = Some(collection.clone());
        self
    }

    /// The finding, about this kind of item.
    #[must_use]
    pub(super) fn about(mut self, subject: FindingSubject) -> Self {
        self.subject = subject;
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
