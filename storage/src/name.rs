//! What a collection may be called: a name that is safe in a URL path and in a log line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::StorageError;

const MAX_LEN: usize = 64;

/// A collection's name: 1 to 64 characters, the first of `a-z 0-9`, the others also `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CollectionName(String);

impl CollectionName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The collection that is made by its first document.
impl Default for CollectionName {
    fn default() -> Self {
        CollectionName("default".to_owned())
    }
}

impl TryFrom<String> for CollectionName {
    type Error = StorageError;

    fn try_from(name: String) -> Result<Self, StorageError> {
        let starts_well = name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let goes_on_well = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if starts_well && goes_on_well && name.len() <= MAX_LEN {
            Ok(CollectionName(name))
        } else {
            Err(StorageError::InvalidCollectionName { given: name })
        }
    }
}

impl FromStr for CollectionName {
    type Err = StorageError;

    fn from_str(name: &str) -> Result<Self, StorageError> {
        name.to_owned().try_into()
    }
}

impl From<CollectionName> for String {
    fn from(name: CollectionName) -> String {
        name.0
    }
}

impl fmt::Display for CollectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_is_safe_in_a_url_and_nothing_else() {
        for good in ["a", "0", "photos-2024_x", &"a".repeat(64)] {
            assert_eq!(good.parse::<CollectionName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-a",
            "_a",
            "A",
            "a b",
            "a/b",
            "..",
            "é",
            &"a".repeat(65),
        ] {
            assert!(bad.parse::<CollectionName>().is_err(), "{bad:?}");
        }
        assert!(serde_json::from_str::<CollectionName>("\"Bad\"").is_err());
    }
}
