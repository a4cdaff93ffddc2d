//! Which analyzer reads which part of a document, and how much each part counts.

use std::collections::BTreeMap;

use super::analysis::Analyzer;

/// How a collection's words are read and weighed; fixed when the collection is made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wording {
    /// Of texts and of metadata that is not named below.
    pub analyzer: Analyzer,
    /// The metadata's fields that differ, by path, in which dots reach inside objects.
    pub fields: BTreeMap<String, FieldWording>,
}

/// How one field's words are read and weighed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FieldWording {
    /// Its own.
    pub analyzer: Analyzer,
    /// What a match in it is multiplied with; above 0.
    pub boost: f32,
}

impl Wording {
    /// The analyzers in use, each once; the default one first.
    pub(super) fn analyzers(&self) -> Vec<Analyzer> {
        let mut all = vec![self.analyzer];
        for field in self.fields.values() {
            if !all.contains(&field.analyzer) {
                all.push(field.analyzer);
            }
        }
        all
    }

    /// Whose words the field at this path holds.
    pub(super) fn analyzer_of(&self, path: &str) -> Analyzer {
        self.fields
            .get(path)
            .map_or(self.analyzer, |field| field.analyzer)
    }
}
