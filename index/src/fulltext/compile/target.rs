//! The tantivy fields that a word is searched in.

use tantivy::Term;
use tantivy::query::{BoostQuery, DisjunctionMaxQuery, EmptyQuery, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};

use super::compiler::Compiler;
use crate::error::IndexError;
use crate::fulltext::analysis::Analyzer;

/// A field to search.
pub(super) enum Target {
    /// A text field.
    Text { field: Field, boost: f32 },
    /// A path of the metadata.
    Path(Term),
}

impl Target {
    pub(super) fn term(&self, stem: &str) -> Term {
        match self {
            Self::Text { field, .. } => Term::from_field_text(*field, stem),
            Self::Path(path) => {
                let mut term = path.clone();
                term.append_type_and_str(stem);
                term
            }
        }
    }

    /// A query for one stem in this field, with the field's boost.
    pub(super) fn query(&self, stem: &str) -> Box<dyn Query> {
        self.boosted(term_query(self.term(stem)))
    }

    pub(super) fn boosted(&self, query: Box<dyn Query>) -> Box<dyn Query> {
        match self {
            Self::Text { boost, .. } if *boost != 1.0 => Box::new(BoostQuery::new(query, *boost)),
            Self::Text { .. } | Self::Path(_) => query,
        }
    }
}

impl Compiler<'_> {
    /// The fields whose words this analyzer reads.
    pub(super) fn targets(&self, analyzer: Analyzer) -> Vec<Target> {
        let mut targets = Vec::new();
        if analyzer == self.text_config.analyzer {
            for field in [self.fields.text, self.fields.strings] {
                targets.push(Target::Text { field, boost: 1.0 });
            }
        }
        for (path, config) in &self.text_config.fields {
            if config.analyzer == analyzer
                && let Some(field) = self.fields.own.get(path)
            {
                targets.push(Target::Text {
                    field: *field,
                    boost: config.boost,
                });
            }
        }
        targets
    }

    /// The number of documents with the stem in the target that has most of them.
    pub(super) fn highest_frequency(
        &self,
        targets: &[Target],
        stem: &str,
    ) -> Result<u64, IndexError> {
        let mut highest = 0;
        for target in targets {
            highest = highest.max(self.frequency(&target.term(stem))?);
        }
        Ok(highest)
    }

    pub(super) fn frequency(&self, term: &Term) -> Result<u64, IndexError> {
        self.searcher
            .doc_freq(term)
            .map_err(IndexError::tantivy("look up a word"))
    }
}

pub(super) fn term_query(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
}

/// The best of several queries counts.
pub(super) fn any_of(mut alternatives: Vec<Box<dyn Query>>) -> Box<dyn Query> {
    match (alternatives.len(), alternatives.pop()) {
        (1, Some(single)) => single,
        (_, Some(last)) => {
            alternatives.push(last);
            Box::new(DisjunctionMaxQuery::new(alternatives))
        }
        (_, None) => Box::new(EmptyQuery),
    }
}
