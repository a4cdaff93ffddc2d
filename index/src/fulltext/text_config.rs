//! The analyzer and the weight of each part of a document.

use std::collections::BTreeMap;

use super::analysis::Analyzer;

/// The text analysis of a collection; fixed when the collection is created.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextConfig {
    /// Analyzer of texts and of all metadata without an entry in `fields`.
    pub analyzer: Analyzer,
    /// Fields of the metadata with their own configuration, by path. Dots separate the names of
    /// nested objects.
    pub fields: BTreeMap<String, FieldTextConfig>,
}

/// The text analysis of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FieldTextConfig {
    /// Analyzer of the field.
    pub analyzer: Analyzer,
    /// Factor of a match's score; above 0.
    pub boost: f32,
}

impl TextConfig {
    /// The analyzers in use, each once, the default one first.
    pub(super) fn analyzers(&self) -> Vec<Analyzer> {
        let mut all = vec![self.analyzer];
        for field in self.fields.values() {
            if !all.contains(&field.analyzer) {
                all.push(field.analyzer);
            }
        }
        all
    }

    /// The analyzer of the field at this path.
    pub(super) fn analyzer_of(&self, path: &str) -> Analyzer {
        self.fields
            .get(path)
            .map_or(self.analyzer, |field| field.analyzer)
    }
}
