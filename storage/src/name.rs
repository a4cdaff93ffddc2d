//! Names of collections, which are safe in URL paths and log lines.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::invalid::InvalidValue;

const MAX_LEN: usize = 64;

/// The name of a collection: 1 to 64 characters of `a-z`, `0-9`, `_` and `-`, the first of which is a
/// letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CollectionName(String);

impl CollectionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The collection that is created by its first document.
impl Default for CollectionName {
    fn default() -> Self {
        CollectionName("default".to_owned())
    }
}

impl TryFrom<String> for CollectionName {
    type Error = InvalidValue;

    fn try_from(name: String) -> Result<Self, InvalidValue> {
        let has_valid_start = name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let has_valid_characters = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if has_valid_start && has_valid_characters && name.len() <= MAX_LEN {
            Ok(CollectionName(name))
        } else {
            Err(InvalidValue::CollectionName { given: name })
        }
    }
}

impl FromStr for CollectionName {
    type Err = InvalidValue;

    fn from_str(name: &str) -> Result<Self, InvalidValue> {
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
    fn accepts_only_names_that_are_safe_in_a_url() {
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
