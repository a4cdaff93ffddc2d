//! Compiles a keyword query to tantivy's queries, the score of a full match, and the terms that a
//! highlighter marks.

mod compiler;
mod field;
mod phrase;
mod plain;
mod prefix;
mod target;

use std::collections::HashSet;

use tantivy::Searcher;
use tantivy::query::{AllQuery, BooleanQuery, ConstScoreQuery, Occur};

use self::compiler::{Compiler, inverse_frequency};
use super::analysis::{Analyzer, Word, words};
use super::coverage::QueryWord;
use super::highlight::HighlightTerms;
use super::parse::{Clause, KeywordQuery, Requirement};
use super::schema::Fields;
use super::text_config::TextConfig;
use crate::error::IndexError;
use crate::keyword_limits::{self, MOST_LOOKED_UP, QueryUsage};

/// A compiled keyword query.
pub(super) struct Compiled {
    pub(super) query: BooleanQuery,
    /// Whether it has optional or required clauses, not only excluded ones.
    pub(super) has_words: bool,
    /// The score of a document of average length that contains each word once.
    pub(super) full_score: f32,
    /// The words and the other clauses, for [`coverage`](super::coverage::coverage).
    pub(super) words: Vec<QueryWord>,
    /// The terms to mark in hits.
    pub(super) highlight_terms: HighlightTerms,
}

/// `None` if the query has no words. If all its clauses are excluded, it matches every document
/// without these words with the same score.
pub(super) fn compile(
    query: &KeywordQuery,
    fields: &Fields,
    text_config: &TextConfig,
    searcher: &Searcher,
) -> Result<Option<Compiled>, IndexError> {
    query.check()?;
    let mut compiler = Compiler {
        fields,
        text_config,
        analyzers: text_config.analyzers(),
        searcher,
        typos: query.typos,
        is_sentence: query.is_sentence,
        counts_words: !query.is_sentence && keyword_limits::may_have_too_many_words(query.bytes),
        usage: QueryUsage::default(),
        with_stop_words: Vec::new(),
        misspelt: 0,
        compounds: 0,
        plain_words: Vec::new(),
        clauses: Vec::new(),
        seen: HashSet::new(),
        frequencies: Vec::new(),
        words: Vec::new(),
        highlight_terms: HighlightTerms::default(),
    };
    compiler.find_analyzers_with_stop_words(query)?;
    for clause in &query.clauses {
        compiler.add(clause)?;
    }
    compiler.add_plain_words()?;
    if compiler.clauses.is_empty() {
        return Ok(None);
    }
    Ok(Some(compiler.finish()))
}

impl Compiler<'_> {
    fn find_analyzers_with_stop_words(&mut self, query: &KeywordQuery) -> Result<(), IndexError> {
        'analyzers: for analyzer in self.analyzers.clone() {
            for clause in &query.clauses {
                if self.has_content(analyzer, clause)? {
                    continue 'analyzers;
                }
            }
            self.with_stop_words.push(analyzer);
        }
        Ok(())
    }

    /// Whether the clause finds something even if stop words among plain words are ignored.
    fn has_content(&self, analyzer: Analyzer, clause: &Clause) -> Result<bool, IndexError> {
        if clause.requirement == Requirement::Excluded {
            return Ok(false);
        }
        let any = |words: &[Word]| words.iter().any(|word| !word.stop);
        let found = words(analyzer, &clause.text);
        let plain = clause.requirement == Requirement::Optional && !clause.quoted && !clause.prefix;
        let has_content = if plain {
            any(&found)
        } else {
            !found.is_empty()
        };
        Ok(match &clause.field {
            None => has_content,
            Some(field)
                if clause.requirement == Requirement::Required || self.field_exists(field)? =>
            {
                !found.is_empty()
            }
            // A name that is no field is a plain word.
            Some(field) => has_content || any(&words(analyzer, field)),
        })
    }

    fn add(&mut self, clause: &Clause) -> Result<(), IndexError> {
        if self.is_sentence && self.seen.len() >= MOST_LOOKED_UP * self.analyzers.len() {
            return Ok(());
        }
        if self.counts_words {
            let count = words(self.text_config.analyzer, &clause.text).len();
            self.usage.words(count)?;
        }
        if let Some(field) = &clause.field {
            if clause.requirement != Requirement::Optional || self.field_exists(field)? {
                return self.add_in_field(clause, field);
            }
            self.add_plain(field)?;
        }
        if clause.prefix {
            return self.add_prefix(clause.requirement.into(), &clause.text);
        }
        match clause.requirement {
            Requirement::Optional if !clause.quoted => self.add_plain(&clause.text),
            requirement => self.add_phrase(requirement.into(), &clause.text),
        }
    }

    fn finish(mut self) -> Compiled {
        let has_words = self
            .clauses
            .iter()
            .any(|(occur, _)| *occur != Occur::MustNot);
        if !has_words {
            let all = ConstScoreQuery::new(Box::new(AllQuery), 0.0);
            self.clauses.push((Occur::Must, Box::new(all)));
        }
        let documents = self.searcher.num_docs();
        // A word without documents weighs as much as an average word: it shows that no match is
        // full, but not by how much.
        let known: Vec<f32> = self
            .frequencies
            .iter()
            .filter(|frequency| **frequency > 0)
            .map(|frequency| inverse_frequency(*frequency, documents))
            .collect();
        let mean = known.iter().sum::<f32>() / known.len().max(1) as f32;
        Compiled {
            words: self.words,
            query: BooleanQuery::new(self.clauses),
            has_words,
            full_score: mean * self.frequencies.len() as f32,
            highlight_terms: self.highlight_terms,
        }
    }
}

impl From<Requirement> for Occur {
    fn from(requirement: Requirement) -> Self {
        match requirement {
            Requirement::Optional => Self::Should,
            Requirement::Required => Self::Must,
            Requirement::Excluded => Self::MustNot,
        }
    }
}
