//! A limit on the distinct metadata fields of a collection's documents.
//!
//! Each field is a column in every segment of the index, so a new field name for each document
//! would eventually make every write, merge and search slow. Every path in a stored document
//! counts, objects as well as their fields; a path that no document has any longer does not.

use std::collections::HashMap;
use std::mem;

use clipdb_index::{CollectionIndex, IndexError, field_paths};
use clipdb_storage::Metadata;

/// The most new fields that an error names.
const NAMED: usize = 3;

/// The most characters of a field's name in an error.
const SHOWN: usize = 40;

/// Counts the documents that have each field, kept up to date with every write.
pub(crate) struct FieldLimit {
    most: usize,
    documents: HashMap<String, u64>,
    refused: Vec<TooManyFields>,
}

/// The error of a document that would exceed the limit on distinct fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this document would add {added} ({examples}) to the collection, whose documents already have {known} distinct metadata fields; 'max_fields' allows {most}: put the part that varies into a field's value instead of its name, or start the server with a larger --max-fields"
)]
pub struct TooManyFields {
    added: String,
    examples: String,
    known: usize,
    most: usize,
}

impl FieldLimit {
    /// Counts the fields of the indexed documents; the index has to be up to date.
    pub(crate) fn of(index: &CollectionIndex, most: usize) -> Result<Self, IndexError> {
        Ok(Self {
            most,
            documents: index.rows_by_field()?,
            refused: Vec::new(),
        })
    }

    /// Whether a document's metadata may change from `before` to `after`; if so, counts the change.
    ///
    /// A collection may exceed the limit, because the limit was higher or the collection was
    /// restored: its number of fields may then stay or shrink.
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

    /// The errors of the documents refused since the last call, in order.
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
            other => panic!("{other} is not an object"),
        }
    }

    #[test]
    fn fields_of_stored_documents_count() {
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
        // One field replaces another.
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
    fn a_collection_above_the_limit_may_stay_or_shrink() {
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
        assert!(
            limit.allows(Some(&old), Some(&new)),
            "one field replaces another"
        );
        assert!(limit.allows(Some(&new), Some(&metadata(json!({"a": 2})))));
        assert_eq!(limit.documents.len(), 2);
    }
}
