//! Phrases: words that follow each other.

use tantivy::query::{EmptyQuery, Occur, PhraseQuery, Query};

use super::compiler::{Alternatives, Compiler, scope_of};
use super::target::{Target, any_of, term_query};
use crate::error::IndexError;
use crate::fulltext::analysis::{Analyzer, Role, Word, words};
use crate::fulltext::highlight::Scope;

impl Compiler<'_> {
    pub(super) fn add_phrase(&mut self, occur: Occur, text: &str) -> Result<(), IndexError> {
        let first = self.frequencies.len();
        let analyzer = self.text_config.analyzer;
        let words = words(analyzer, text);
        let exact = words_of_phrase(&words);
        if exact.len() > 1 {
            self.usage.phrase()?;
        }
        if occur != Occur::MustNot {
            for word in exact {
                let known = self.highest_frequency(&self.targets(analyzer), &word.stem)?;
                self.frequencies.push(known);
            }
        }
        let stems = words.into_iter().map(|word| (analyzer, word.stem));
        self.seen.extend(stems);
        let (mut alternatives, joined) = self.phrases_anywhere(text, &scope_of(occur));
        alternatives.extend(joined);
        self.add_clause(occur, any_of(alternatives), first);
        Ok(())
    }

    /// Queries for these words in this order, in the text or in one string of the metadata, and
    /// queries for all of them written as one word.
    pub(super) fn phrases_anywhere(
        &mut self,
        text: &str,
        scope: &Scope,
    ) -> (Alternatives, Alternatives) {
        let mut all = (Vec::new(), Vec::new());
        for analyzer in self.analyzers.clone() {
            let words = words(analyzer, text);
            let targets = self.targets(analyzer);
            let (phrases, joined) = self.phrases(&words, &targets, scope, analyzer);
            all.0.extend(phrases);
            all.1.extend(joined);
        }
        all
    }

    /// The same for words of one analyzer in some fields.
    pub(super) fn phrases(
        &mut self,
        words: &[Word],
        targets: &[Target],
        scope: &Scope,
        analyzer: Analyzer,
    ) -> (Alternatives, Alternatives) {
        let exact = words_of_phrase(words);
        let (mut phrases, mut joined) = (Vec::new(), Vec::new());
        if exact.is_empty() {
            return (phrases, joined);
        }
        let plain = words.iter().filter(|word| word.role == Role::Plain).count();
        let compound = words.iter().find(|word| word.role == Role::Joined(plain));
        for target in targets {
            phrases.push(target.boosted(sequence(&exact, target)));
            joined.extend(compound.map(|word| target.query(&word.stem)));
        }
        if let Some(compound) = compound {
            self.highlight_terms
                .word(scope.clone(), analyzer, compound.stem.clone());
        }
        self.highlight_terms.phrase(scope.clone(), analyzer, &exact);
        (phrases, joined)
    }
}

/// The words of a phrase: each once, with its sign if it has one.
pub(super) fn words_of_phrase(words: &[Word]) -> Vec<&Word> {
    let mut exact: Vec<&Word> = Vec::with_capacity(words.len());
    for word in words {
        match word.role {
            Role::Plain => exact.push(word),
            Role::Signed => {
                exact.pop();
                exact.push(word);
            }
            Role::Inner | Role::Joined(_) => {}
        }
    }
    exact
}

/// A query for one word, or for several that follow each other.
fn sequence(words: &[&Word], target: &Target) -> Box<dyn Query> {
    match words {
        [] => Box::new(EmptyQuery),
        [word] => term_query(target.term(&word.stem)),
        [first, ..] => Box::new(PhraseQuery::new_with_offset(
            words
                .iter()
                .map(|word| (word.position - first.position, target.term(&word.stem)))
                .collect(),
        )),
    }
}
