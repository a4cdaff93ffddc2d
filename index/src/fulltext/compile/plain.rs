//! Plain words: each is optional, and misspelt ones are corrected.

use std::collections::BTreeMap;

use tantivy::query::{BoostQuery, DisjunctionMaxQuery, Occur};

use super::compiler::{Alternatives, Compiler, PlainWord, inverse_frequency};
use super::phrase::words_of_phrase;
use super::target::any_of;
use crate::error::IndexError;
use crate::fulltext::analysis::{Analyzer, Role, Word, words};
use crate::fulltext::coverage::QueryWord;
use crate::fulltext::highlight::Scope;
use crate::fulltext::vocabulary::{self, Expansion};
use crate::keyword_limits::{
    LONGEST_MISSPELT, MOST_COMPOUNDS, MOST_MISSPELT, MOST_PARTS, MOST_PLAIN,
};

/// Weight of a word with one typo, and with two.
const ONE_TYPO_WEIGHT: f32 = 0.5;
const TWO_TYPOS_WEIGHT: f32 = 0.25;

/// The part of a word that a hit with another spelling of it contains: more than its weight in the
/// order of hits, since a misspelt word is seldom meant to find nothing.
const ONE_TYPO_CREDIT: f32 = 0.8;
const TWO_TYPOS_CREDIT: f32 = 0.6;

/// Share of the lower score that a document gains if it has both the adjacent parts of a compound
/// word and the joined word. Words with a hyphen are indexed as both.
const COMPOUND_TIE_BREAKER: f32 = 0.5;

impl Compiler<'_> {
    /// Each word is optional; adjacent parts of one written word ("AB-1234") score higher.
    pub(super) fn add_plain(&mut self, text: &str) -> Result<(), IndexError> {
        // The same span of the text is one word, whatever the analyzers make of it.
        let mut spans: BTreeMap<(usize, usize), Vec<(Analyzer, Word)>> = BTreeMap::new();
        let mut new = false;
        let mut most_words = 0;
        for analyzer in self.analyzers.clone() {
            let mut words = words(analyzer, text);
            let stop_words_count = self.with_stop_words.contains(&analyzer);
            most_words = most_words.max(words_of_phrase(&words).len());
            self.drop_parts_of_known_words(analyzer, &mut words)?;
            for word in words {
                if (word.stop && !stop_words_count)
                    || !self.seen.insert((analyzer, word.stem.clone()))
                {
                    continue;
                }
                new = true;
                let span = (word.start, word.end);
                spans.entry(span).or_default().push((analyzer, word));
            }
        }
        for words in spans.into_values() {
            let frequency = self.frequency_of_any(&words)?;
            self.plain_words.push(PlainWord { words, frequency });
        }
        if new && (2..=MOST_PARTS).contains(&most_words) && self.compounds < MOST_COMPOUNDS {
            self.compounds += 1;
            let (mut alternatives, joined) = self.phrases_anywhere(text, &Scope::Anywhere);
            alternatives.extend(joined);
            let compound =
                DisjunctionMaxQuery::with_tie_breaker(alternatives, COMPOUND_TIE_BREAKER);
            self.clauses.push((Occur::Should, Box::new(compound)));
        }
        Ok(())
    }

    /// Keeps the words that are optional on their own: parts of a longer word only if no document
    /// has the longer word.
    fn drop_parts_of_known_words(
        &self,
        analyzer: Analyzer,
        words: &mut Vec<Word>,
    ) -> Result<(), IndexError> {
        words.retain(|word| !matches!(word.role, Role::Joined(_)));
        if words.iter().all(|word| word.role != Role::Inner) {
            return Ok(());
        }
        let targets = self.targets(analyzer);
        let mut is_known = false;
        let mut kept = Vec::with_capacity(words.len());
        for word in words.drain(..) {
            match word.role {
                Role::Plain => is_known = self.highest_frequency(&targets, &word.stem)? > 0,
                Role::Inner if is_known => continue,
                Role::Inner | Role::Signed | Role::Joined(_) => {}
            }
            kept.push(word);
        }
        *words = kept;
        Ok(())
    }

    fn frequency_of_any(&self, words: &[(Analyzer, Word)]) -> Result<u64, IndexError> {
        let mut frequency = 0;
        for (analyzer, word) in words {
            let targets = self.targets(*analyzer);
            frequency = frequency.max(self.highest_frequency(&targets, &word.stem)?);
        }
        Ok(frequency)
    }

    /// Adds the plain words; of too many, the rarest that documents have.
    pub(super) fn add_plain_words(&mut self) -> Result<(), IndexError> {
        let mut plain_words = std::mem::take(&mut self.plain_words);
        if plain_words.len() > MOST_PLAIN {
            plain_words.sort_by_key(|word| (word.frequency == 0, word.frequency));
            plain_words.truncate(MOST_PLAIN);
        }
        for word in &plain_words {
            self.add_plain_word(word)?;
        }
        Ok(())
    }

    fn add_plain_word(&mut self, plain: &PlainWord) -> Result<(), IndexError> {
        let mut alternatives = Vec::new();
        for (analyzer, word) in &plain.words {
            self.highlight_terms
                .word(Scope::Anywhere, *analyzer, word.stem.clone());
            for target in self.targets(*analyzer) {
                alternatives.push(target.query(&word.stem));
            }
        }
        // A word with a sign is counted as the word without it.
        let counts = plain.words.iter().any(|(analyzer, word)| {
            *analyzer == self.text_config.analyzer && word.role == Role::Plain
        });
        let mut credit: f32 = 1.0;
        if plain.frequency == 0 && self.typos && self.misspelt < MOST_MISSPELT {
            self.misspelt += 1;
            for (analyzer, word) in &plain.words {
                let (spellings, edits) = self.other_spellings(*analyzer, word)?;
                alternatives.extend(spellings);
                credit = match edits {
                    1 => credit.min(ONE_TYPO_CREDIT),
                    2 => credit.min(TWO_TYPOS_CREDIT),
                    _ => credit,
                };
            }
        }
        let query = any_of(alternatives);
        if counts {
            self.frequencies.push(plain.frequency);
            self.words.push(QueryWord {
                weight: inverse_frequency(plain.frequency, self.searcher.num_docs()),
                credit,
                query: query.box_clone(),
            });
        }
        self.clauses.push((Occur::Should, query));
        Ok(())
    }

    /// The most similar words, and how many letters they differ in; 0 if there are none.
    fn other_spellings(
        &mut self,
        analyzer: Analyzer,
        word: &Word,
    ) -> Result<(Alternatives, usize), IndexError> {
        let Some(vocabulary) = self.fields.vocabulary(analyzer) else {
            return Ok((Vec::new(), 0));
        };
        if analyzer == Analyzer::Exact || word.surface.len() > LONGEST_MISSPELT {
            return Ok((Vec::new(), 0));
        }
        let spellings = vocabulary::spellings(self.searcher, vocabulary, analyzer, &word.surface)?;
        let edits = usize::from(spellings.edits);
        let weight = if edits == 1 {
            ONE_TYPO_WEIGHT
        } else {
            TWO_TYPOS_WEIGHT
        };
        let mut alternatives: Alternatives = Vec::new();
        for Expansion { stem, .. } in spellings.stems {
            for target in self.targets(analyzer) {
                alternatives.push(Box::new(BoostQuery::new(target.query(&stem), weight)));
            }
            self.highlight_terms.word(Scope::Anywhere, analyzer, stem);
        }
        let edits = if alternatives.is_empty() { 0 } else { edits };
        Ok((alternatives, edits))
    }
}
