//! Identifiers of documents: the id that the user gives, and the key of one stored version.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::invalid::InvalidValue;

const MAX_BYTES: usize = 256;

/// The id of a document, unique within its collection: 1 to 256 bytes of UTF-8 without control
/// characters, and neither `.` nor `..`, which are removed from URL paths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DocumentId(String);

impl DocumentId {
    /// A new id that sorts after those generated before (UUIDv7).
    pub fn generate() -> Self {
        DocumentId(uuid::Uuid::now_v7().to_string())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DocumentId {
    type Error = InvalidValue;

    fn try_from(id: String) -> Result<Self, InvalidValue> {
        let reason = if id.is_empty() {
            "it is empty"
        } else if id.len() > MAX_BYTES {
            "it is longer than 256 bytes"
        } else if id.chars().any(char::is_control) {
            "it contains a control character"
        } else if id == "." || id == ".." {
            "\".\" and \"..\" are removed from URL paths"
        } else {
            return Ok(DocumentId(id));
        };
        Err(InvalidValue::DocumentId { reason })
    }
}

impl FromStr for DocumentId {
    type Err = InvalidValue;

    fn from_str(id: &str) -> Result<Self, InvalidValue> {
        id.to_owned().try_into()
    }
}

impl From<DocumentId> for String {
    fn from(id: DocumentId) -> String {
        id.0
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of one stored version of a document. Keys increase with every write and are never reused
/// within a collection, so an index is up to date if and only if its keys are those of [`live_keys`].
///
/// [`live_keys`]: crate::CollectionStore::live_keys
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct DocumentKey(u64);

impl DocumentKey {
    /// The key with this number.
    pub const fn new(key: u64) -> Self {
        DocumentKey(key)
    }

    /// The number of the key.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_ids_are_rejected() {
        for good in ["a", "cat 1", "…/é", "a/b?c#d", "...", &"x".repeat(256)] {
            assert_eq!(good.parse::<DocumentId>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a\nb", "\u{85}", &"x".repeat(257)] {
            assert!(bad.parse::<DocumentId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn generated_ids_sort_by_time() {
        let ids: Vec<_> = (0..1000).map(|_| DocumentId::generate()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
    }
}
