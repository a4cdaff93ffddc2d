//! How many different fields the metadata of a collection's documents may have.
//!
//! Each is a column in every segment of the index: names that are made up for each document
//! would make every write, merge and search slow in the end. What counts is every path that a
//! stored document has, objects as well as the fields in them; one that no document has any
//! more does not count.

use std::collections::HashMap;
use std::mem;

use clipdb_index::{CollectionIndex, IndexError, field_paths};
use clipdb_storage::Metadata;

/// New fields that an error names.
const NAMED: usize = 3;

/// Letters of a field's name in an error.
const SHOWN: usize = 40;

/// The documents that have each field, as of the writes so far.
pub(crate) struct FieldLimit {
    most: usize,
    documents: HashMap<String, u64>,
    refused: Vec<TooManyFields>,
}

/// Why a document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this document would bring {added} ({examples}) to the collection, whose documents have {known} different metadata fields already; 'max_fields' allows {most}: put what varies into a field's value instead of its name, or start the server with a larger --max-fields"
)]
pub struct TooManyFields {
    added: String,
    examples: String,
    known: usize,
    most: usize,
}

impl FieldLimit {
    /// Counts what is indexed, which has to agree with what is stored.
    pub(crate) fn of(index: &CollectionIndex, most: usize) -> Result<Self, IndexError> {
        Ok(Self {
            most,
            documents: index.rows_by_field()?,
            refused: Vec::new(),
        })
    }

    /// Whether a document may go from the first metadata to the second; then it has.
    ///
    /// What is above the limit already, since the limit was higher or the collection restored,
    /// may stay and may shrink.
    pub(crate) fn allows(&mut self, before: Option<&Metadata>, after: Option<&Metadata>) -> bool {
        let before: Vec<String> = before.into_iter().flat_map(field_paths).collect();
        let after: Vec<String> = after.into_iter().flat_map(field_paths).collect();
        let known = self.documents.len();
        before.iter().for_each(|path| self.remove(path));
        let left = self.documents.len();
        let new: Vec<&str> = after
            .iter()
            .filter(|path| !self.documents.contains_key(*path))
            .map(String::as_str)
            .collect();
        let would_be = left + new.len();
        if would_be > self.most && would_be > known {
            let new: Vec<&str> = new
                .into_iter()
                .filter(|path| before.iter().all(|had| had != path))
                .collect();
            self.refused.push(TooManyFields::of(&new, known, self.most));
            before.into_iter().for_each(|path| self.add(path));
            return false;
        }
        after.into_iter().for_each(|path| self.add(path));
        true
    }

    /// Why it refused since it was last asked, in the order of refusals.
    pub(crate) fn take_refused(&mut self) -> Vec<TooManyFields> {
        mem::take(&mut self.refused)
    }

    fn add(&mut self, path: String) {
        *self.documents.entry(path).or_default() += 1;
    }

    fn remove(&mut self, path: &str) {
        if let Some(documents) = self.documents.get_mut(path) {
            *documents -= 1;
            if *documents == 0 {
                self.documents.remove(path);
            }
        }
    }
}

impl TooManyFields {
    fn of(new: &[&str], known: usize, most: usize) -> Self {
        let mut examples: Vec<String> = new
            .iter()
            .take(NAMED)
            .map(|path| {
                let shown: String = path.chars().take(SHOWN).collect();
                let more = if shown.len() < path.len() { "…" } else { "" };
                format!("'{shown}{more}'")
            })
            .collect();
        if new.len() > NAMED {
            examples.push("…".to_owned());
        }
        Self {
            added: match new.len() {
                1 => "a new field".to_owned(),
                count => format!("{count} new fields"),
            },
            examples: examples.join(", "),
            known,
            most,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn metadata(value: Value) -> Metadata {
        match value {
            Value::Object(object) => object,
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn what_documents_have_counts() {
        let mut limit = FieldLimit {
            most: 4,
            documents: HashMap::new(),
            refused: Vec::new(),
        };
        let place = metadata(json!({"place": {"city": "Lyon"}, "tags": ["a", {"b": 1}]}));
        assert!(
            limit.allows(None, Some(&place)),
            "place, place.city, tags, tags.b"
        );
        let other = metadata(json!({"tags": 3, "year": 2024, "month": 5}));
        assert!(!limit.allows(None, Some(&other)));
        let refused = limit.take_refused();
        assert_eq!(
            (
                refused.len(),
                refused[0].examples.as_str(),
                refused[0].known
            ),
            (1, "'month', 'year'", 4)
        );
        let same = metadata(json!({"place.city": "Nice", "tags": null}));
        assert!(limit.allows(None, Some(&same)));
        // As many go as come.
        let swapped = metadata(json!({"place": {"city": "Lyon"}, "tags": ["a", {"c": 1}]}));
        assert!(limit.allows(Some(&place), Some(&swapped)));
        assert!(!limit.allows(
            Some(&swapped),
            Some(&metadata(
                json!({"place": {"city": 1}, "tags": {"c": 1, "d": 1}})
            ))
        ));
        assert!(limit.allows(Some(&swapped), None));
        assert!(limit.allows(None, Some(&metadata(json!({"a": 1, "b": 1})))));
        assert_eq!(limit.documents.len(), 4);
        assert_eq!(limit.take_refused().len(), 1);
    }

    #[test]
    fn what_is_above_may_stay_and_shrink() {
        let mut limit = FieldLimit {
            most: 1,
            documents: [("a", 2), ("b", 1), ("c", 1)]
                .map(|(path, documents)| (path.to_owned(), documents))
                .into(),
            refused: Vec::new(),
        };
        let (old, new) = (
            metadata(json!({"a": 1, "b": 1})),
            metadata(json!({"a": 2, "d": 2})),
        );
        assert!(limit.allows(None, Some(&metadata(json!({"c": 5})))));
        assert!(!limit.allows(None, Some(&new)));
        assert!(limit.allows(Some(&old), Some(&new)), "one for another");
        assert!(limit.allows(Some(&new), Some(&metadata(json!({"a": 2})))));
        assert_eq!(limit.documents.len(), 2);
    }
}
