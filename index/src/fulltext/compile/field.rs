//! Clauses that search one field of the metadata: `field:x`.

use tantivy::Term;

use super::compiler::{Alternatives, Compiler};
use super::phrase::words_of_phrase;
use super::target::{Target, any_of, term_query};
use crate::error::IndexError;
use crate::fulltext::analysis::words;
use crate::fulltext::highlight::Scope;
use crate::fulltext::parse::{Clause, Requirement};

impl Compiler<'_> {
    pub(super) fn add_in_field(&mut self, clause: &Clause, field: &str) -> Result<(), IndexError> {
        let first = self.frequencies.len();
        let counts = clause.requirement != Requirement::Excluded;
        let scope = if counts {
            Scope::Field(field.to_owned())
        } else {
            Scope::Nowhere
        };
        let path = Term::from_field_json_path(self.fields.metadata, field, true);
        let mut alternatives: Alternatives = Vec::new();
        let number = tantivy::json_utils::convert_to_fast_value_and_append_to_json_term(
            &path,
            &clause.text,
            true,
        );
        if let Some(term) = number {
            let known = self.frequency(&term)?;
            self.frequencies.push(known);
            alternatives.push(term_query(term));
        }
        let own = self.fields.own.get(field);
        let (analyzer, target) = match (own, self.text_config.fields.get(field)) {
            (Some(own), Some(config)) => (
                config.analyzer,
                Target::Text {
                    field: *own,
                    boost: config.boost,
                },
            ),
            _ => (self.text_config.analyzer, Target::Path(path)),
        };
        if clause.prefix {
            let targets = std::slice::from_ref(&target);
            let (query, frequency) =
                self.words_with_prefix(analyzer, targets, &clause.text, scope)?;
            alternatives.extend(query);
            if counts {
                self.frequencies.push(frequency);
            }
        } else {
            let words = words(analyzer, &clause.text);
            let exact = words_of_phrase(&words);
            if exact.len() > 1 {
                self.usage.phrase()?;
            }
            if alternatives.is_empty() && counts {
                for word in exact {
                    let known = self.frequency(&target.term(&word.stem))?;
                    self.frequencies.push(known);
                }
            }
            let (phrases, joined) = self.phrases(&words, &[target], &scope, analyzer);
            alternatives.extend(phrases.into_iter().chain(joined));
        }
        if !alternatives.is_empty() {
            self.add_clause(clause.requirement.into(), any_of(alternatives), first);
        }
        Ok(())
    }

    /// Whether the field is declared, or any document's metadata has a value at this path.
    pub(super) fn field_exists(&self, field: &str) -> Result<bool, IndexError> {
        if self.fields.own.contains_key(field) {
            return Ok(true);
        }
        let path = Term::from_field_json_path(self.fields.metadata, field, true);
        let prefix = path.serialized_value_bytes();
        for segment in self.searcher.segment_readers() {
            let index = segment
                .inverted_index(self.fields.metadata)
                .map_err(IndexError::tantivy("open the words of the metadata"))?;
            let mut terms = index
                .terms()
                .range()
                .ge(prefix)
                .into_stream()
                .map_err(|error| {
                    IndexError::tantivy("read the words of the metadata")(error.into())
                })?;
            if terms.advance() && terms.key().starts_with(prefix) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
