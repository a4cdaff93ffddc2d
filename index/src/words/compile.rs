//! A keyword query as tantivy's queries, and the score that a full match would have.

use std::collections::HashSet;

use tantivy::query::{BooleanQuery, DisjunctionMaxQuery, Occur, PhraseQuery, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, Term};

use super::analysis::{Word, words};
use super::parse::{Clause, KeywordQuery, Need};
use super::schema::Fields;
use crate::error::IndexError;

/// Distinct words a query keeps; a pasted chapter is cut here, so that it cannot stall the
/// searches beside it.
const MOST_WORDS: usize = 128;

/// What to ask tantivy.
pub(super) struct Compiled {
    pub(super) query: BooleanQuery,
    /// The score of a document of average length that holds each asked word once.
    pub(super) full_score: f32,
}

/// `None` when nothing is left to look for: no words, or only such as must not occur.
pub(super) fn compile(
    query: &KeywordQuery,
    fields: &Fields,
    searcher: &Searcher,
) -> Result<Option<Compiled>, IndexError> {
    let mut compiler = Compiler {
        fields,
        searcher,
        clauses: Vec::new(),
        seen: HashSet::new(),
        frequencies: Vec::new(),
    };
    compiler.add_all(query, false)?;
    if compiler.finds_nothing() {
        compiler.clauses.clear();
        compiler.add_all(query, true)?;
    }
    if compiler.finds_nothing() {
        return Ok(None);
    }
    Ok(Some(compiler.finish()))
}

struct Compiler<'a> {
    fields: &'a Fields,
    searcher: &'a Searcher,
    clauses: Vec<(Occur, Box<dyn Query>)>,
    seen: HashSet<String>,
    /// Of each asked word, in how many documents it occurs.
    frequencies: Vec<u64>,
}

impl Compiler<'_> {
    fn add_all(&mut self, query: &KeywordQuery, keep_stop_words: bool) -> Result<(), IndexError> {
        for clause in &query.clauses {
            self.add(clause, keep_stop_words)?;
        }
        Ok(())
    }

    fn add(&mut self, clause: &Clause, keep_stop_words: bool) -> Result<(), IndexError> {
        if self.seen.len() >= MOST_WORDS {
            return Ok(());
        }
        if let Some(field) = &clause.field {
            if clause.need != Need::May || self.field_exists(field)? {
                return self.add_in_field(clause, field);
            }
            self.add_plain(&words(field), keep_stop_words)?;
        }
        let words = words(&clause.text);
        match clause.need {
            Need::May if clause.quoted => self.add_phrase(Occur::Should, &words),
            Need::May => self.add_plain(&words, keep_stop_words),
            Need::Must => self.add_phrase(Occur::Must, &words),
            Need::MustNot => self.add_phrase(Occur::MustNot, &words),
        }
    }

    /// Each word may occur; parts of one written word ("AB-1234") rank higher together.
    fn add_plain(&mut self, words: &[Word], keep_stop_words: bool) -> Result<(), IndexError> {
        let mut new = false;
        for word in words {
            if (word.stop && !keep_stop_words) || !self.seen.insert(word.stem.clone()) {
                continue;
            }
            new = true;
            self.count(std::slice::from_ref(word))?;
            self.push(Occur::Should, self.anywhere(std::slice::from_ref(word)));
        }
        if new && words.len() > 1 {
            self.push(Occur::Should, self.anywhere(words));
        }
        Ok(())
    }

    fn add_phrase(&mut self, occur: Occur, words: &[Word]) -> Result<(), IndexError> {
        if words.is_empty() {
            return Ok(());
        }
        if occur != Occur::MustNot {
            self.count(words)?;
        }
        self.seen.extend(words.iter().map(|word| word.stem.clone()));
        self.push(occur, self.anywhere(words));
        Ok(())
    }

    fn add_in_field(&mut self, clause: &Clause, field: &str) -> Result<(), IndexError> {
        let path = Term::from_field_json_path(self.fields.metadata, field, true);
        let mut ways: Vec<Box<dyn Query>> = Vec::new();
        let number = tantivy::json_utils::convert_to_fast_value_and_append_to_json_term(
            &path,
            &clause.text,
            true,
        );
        if let Some(term) = number {
            self.count_terms(&[&term])?;
            ways.push(term_query(term));
        }
        let terms: Vec<Term> = words(&clause.text)
            .iter()
            .map(|word| {
                let mut term = path.clone();
                term.append_type_and_str(&word.stem);
                term
            })
            .collect();
        if !terms.is_empty() {
            if ways.is_empty() && clause.need != Need::MustNot {
                for term in &terms {
                    self.count_terms(&[term])?;
                }
            }
            ways.push(sequence(terms));
        }
        if !ways.is_empty() {
            let occur = match clause.need {
                Need::May => Occur::Should,
                Need::Must => Occur::Must,
                Need::MustNot => Occur::MustNot,
            };
            self.push(occur, Box::new(DisjunctionMaxQuery::new(ways)));
        }
        Ok(())
    }

    /// These words, in this order, in the text or in one string of the metadata.
    fn anywhere(&self, words: &[Word]) -> Box<dyn Query> {
        let within = |field: Field| {
            sequence(
                words
                    .iter()
                    .map(|word| Term::from_field_text(field, &word.stem))
                    .collect(),
            )
        };
        Box::new(DisjunctionMaxQuery::new(vec![
            within(self.fields.text),
            within(self.fields.strings),
        ]))
    }

    fn push(&mut self, occur: Occur, query: Box<dyn Query>) {
        self.clauses.push((occur, query));
    }

    fn finds_nothing(&self) -> bool {
        self.clauses
            .iter()
            .all(|(occur, _)| *occur == Occur::MustNot)
    }

    fn count(&mut self, words: &[Word]) -> Result<(), IndexError> {
        for word in words {
            let text = Term::from_field_text(self.fields.text, &word.stem);
            let strings = Term::from_field_text(self.fields.strings, &word.stem);
            self.count_terms(&[&text, &strings])?;
        }
        Ok(())
    }

    fn count_terms(&mut self, either: &[&Term]) -> Result<(), IndexError> {
        let mut most = 0;
        for term in either {
            let frequency = self
                .searcher
                .doc_freq(term)
                .map_err(IndexError::tantivy("look a word up"))?;
            most = most.max(frequency);
        }
        self.frequencies.push(most);
        Ok(())
    }

    /// Whether any document's metadata has a value at this path.
    fn field_exists(&self, field: &str) -> Result<bool, IndexError> {
        let path = Term::from_field_json_path(self.fields.metadata, field, true);
        let prefix = path.serialized_value_bytes();
        for segment in self.searcher.segment_readers() {
            let index = segment
                .inverted_index(self.fields.metadata)
                .map_err(IndexError::tantivy("open the metadata's words"))?;
            let mut terms = index
                .terms()
                .range()
                .ge(prefix)
                .into_stream()
                .map_err(|error| IndexError::tantivy("read the metadata's words")(error.into()))?;
            if terms.advance() && terms.key().starts_with(prefix) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn finish(self) -> Compiled {
        let documents = self.searcher.num_docs() as f32;
        // BM25's idf (Robertson and Zaragoza 2009); at average length and one occurrence
        // the rest of its formula is 1. A word that no document has weighs as an average
        // word: it tells that no match is full, but not by how much.
        let known: Vec<f32> = self
            .frequencies
            .iter()
            .filter(|frequency| **frequency > 0)
            .map(|frequency| {
                let holding = (*frequency as f32).min(documents);
                (1.0 + (documents - holding + 0.5) / (holding + 0.5)).ln()
            })
            .collect();
        let mean = known.iter().sum::<f32>() / known.len().max(1) as f32;
        Compiled {
            query: BooleanQuery::new(self.clauses),
            full_score: mean * self.frequencies.len() as f32,
        }
    }
}

fn term_query(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
}

/// One term, or several one after the other.
fn sequence(mut terms: Vec<Term>) -> Box<dyn Query> {
    match (terms.len(), terms.pop()) {
        (1, Some(only)) => term_query(only),
        (_, Some(last)) => {
            terms.push(last);
            Box::new(PhraseQuery::new(terms))
        }
        (_, None) => Box::new(tantivy::query::EmptyQuery),
    }
}
