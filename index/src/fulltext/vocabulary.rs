//! The vocabulary of all documents: completions of a prefix and corrections of a misspelt word.

use std::collections::HashMap;
use std::sync::OnceLock;

use levenshtein_automata::{DFA, Distance, LevenshteinAutomatonBuilder, SINK_STATE};
use tantivy::schema::Field;
use tantivy::{InvertedIndexReader, Searcher};
use tantivy_fst::Automaton;

use super::analysis::{Analyzer, is_ideograph, split_entry, words};
use crate::error::IndexError;
use crate::keyword_limits::QueryUsage;

/// Maximum number of stems that a prefix expands to: those of the most frequent words.
pub(super) const MOST_COMPLETIONS: usize = 1024;

/// Maximum number of stems that are counted at a time. Of more, half are kept: those of the most
/// frequent words.
const MOST_COUNTED: usize = 64 << 10;

/// Maximum number of stems that a misspelt word expands to.
const MOST_SPELLINGS: usize = 8;

/// Minimum number of letters of a word with one typo, and with two.
const ONE_TYPO: usize = 4;
const TWO_TYPOS: usize = 8;

/// A stem that a prefix or a misspelt word expands to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expansion {
    pub(super) stem: String,
    /// Number of documents with one of its words.
    pub(super) documents: u64,
}

/// Corrections of a misspelt word.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    /// Edit distance to the misspelt word.
    pub(super) edits: u8,
    pub(super) stems: Vec<Expansion>,
}

/// The stems of the words that begin with `prefix`, by descending frequency.
pub(super) fn completions(
    searcher: &Searcher,
    vocabulary: Field,
    prefix: &str,
    usage: &mut QueryUsage,
) -> Result<Vec<Expansion>, IndexError> {
    let mut found: HashMap<String, u64> = HashMap::new();
    for segment in searcher.segment_readers() {
        let index = segment.inverted_index(vocabulary).map_err(reading)?;
        let mut entries = index
            .terms()
            .range()
            .ge(prefix)
            .into_stream()
            .map_err(|error| reading(error.into()))?;
        while entries.advance() && entries.key().starts_with(prefix.as_bytes()) {
            usage.completion()?;
            if found.len() >= MOST_COUNTED {
                let kept = most_frequent(found, MOST_COUNTED / 2);
                found = kept
                    .into_iter()
                    .map(|expansion| (expansion.stem, expansion.documents))
                    .collect();
            }
            if let Ok(entry) = std::str::from_utf8(entries.key()) {
                let (_, stem) = split_entry(entry);
                add(&mut found, stem, u64::from(entries.value().doc_freq));
            }
        }
    }
    Ok(most_frequent(found, MOST_COMPLETIONS))
}

/// The words of the vocabulary nearest to `word`, within the edit distance that its length allows.
///
/// Words with a digit are codes and have no corrections, and neither have words of a script without
/// letters. A wrong first letter counts as two edits, since it is rarely mistyped. Stop words are no
/// corrections.
pub(super) fn spellings(
    searcher: &Searcher,
    vocabulary: Field,
    analyzer: Analyzer,
    word: &str,
) -> Result<Spellings, IndexError> {
    let letters = word.chars().count();
    let allowed: u8 = match letters {
        _ if !word.chars().all(is_letter) => 0,
        0..ONE_TYPO => 0,
        ONE_TYPO..TWO_TYPOS => 1,
        _ => 2,
    };
    if allowed == 0 {
        return Ok(Spellings::default());
    }
    let filter = |edits| LevenshteinFilter(automata(edits).build_dfa(word));
    let find = |filter: &LevenshteinFilter, edits, first| {
        let mut found = HashMap::new();
        for segment in searcher.segment_readers() {
            let index = segment.inverted_index(vocabulary).map_err(reading)?;
            let search = SpellingSearch {
                filter,
                edits,
                first,
                analyzer,
                word,
            };
            search.add_stems(&index, &mut found)?;
        }
        Ok::<_, IndexError>(found)
    };
    let one = filter(1);
    let found = find(&one, 1, FirstLetter::Same)?;
    if !found.is_empty() || allowed == 1 {
        return Ok(Spellings {
            edits: 1,
            stems: most_frequent(found, MOST_SPELLINGS),
        });
    }
    // A wrong first letter counts as two edits.
    let mut found = find(&filter(2), 2, FirstLetter::Same)?;
    for (stem, documents) in find(&one, 1, FirstLetter::Different)? {
        *found.entry(stem).or_default() += documents;
    }
    Ok(Spellings {
        edits: 2,
        stems: most_frequent(found, MOST_SPELLINGS),
    })
}

/// Whether a correction has the first letter of the misspelt word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstLetter {
    Same,
    Different,
}

/// A search for words at an exact edit distance.
struct SpellingSearch<'a> {
    filter: &'a LevenshteinFilter,
    edits: u8,
    first: FirstLetter,
    analyzer: Analyzer,
    word: &'a str,
}

impl SpellingSearch<'_> {
    /// Adds the stems of a segment's words, with the numbers of documents.
    fn add_stems(
        &self,
        index: &InvertedIndexReader,
        found: &mut HashMap<String, u64>,
    ) -> Result<(), IndexError> {
        let mut entries = index.terms().search(self.filter);
        let first = self.word.chars().next();
        if self.first == FirstLetter::Same
            && let Some(first) = first
        {
            entries = entries.ge(first.to_string());
            if let Some(next) = (first..=char::MAX).nth(1) {
                entries = entries.lt(next.to_string());
            }
        }
        let mut entries = entries
            .into_stream()
            .map_err(|error| reading(error.into()))?;
        while entries.advance() {
            let Ok(entry) = std::str::from_utf8(entries.key()) else {
                continue;
            };
            let (surface, stem) = split_entry(entry);
            let has_same_letter = surface.chars().next() == first;
            if self.filter.edits(surface) == self.edits
                && has_same_letter == (self.first == FirstLetter::Same)
                && !is_stop_word(self.analyzer, surface)
            {
                add(found, stem, u64::from(entries.value().doc_freq));
            }
        }
        Ok(())
    }
}

fn add(found: &mut HashMap<String, u64>, stem: &str, documents: u64) {
    match found.get_mut(stem) {
        Some(known) => *known += documents,
        None => {
            found.insert(stem.to_owned(), documents);
        }
    }
}

fn reading(error: tantivy::TantivyError) -> IndexError {
    IndexError::tantivy("read the vocabulary")(error)
}

fn most_frequent(found: HashMap<String, u64>, limit: usize) -> Vec<Expansion> {
    let mut expansions: Vec<Expansion> = found
        .into_iter()
        .map(|(stem, documents)| Expansion { stem, documents })
        .collect();
    let order = |a: &Expansion, b: &Expansion| {
        let by_documents = b.documents.cmp(&a.documents);
        by_documents.then_with(|| a.stem.cmp(&b.stem))
    };
    if expansions.len() > limit {
        expansions.select_nth_unstable_by(limit, order);
        expansions.truncate(limit);
    }
    expansions.sort_unstable_by(order);
    expansions
}

fn is_stop_word(analyzer: Analyzer, surface: &str) -> bool {
    words(analyzer, surface).iter().all(|word| word.stop)
}

/// Whether it is a letter of an alphabet, in which words have several letters.
fn is_letter(c: char) -> bool {
    c.is_alphabetic() && !is_ideograph(c)
}

/// The automaton builder for an edit distance. Building one takes milliseconds, so it happens once.
fn automata(edits: u8) -> &'static LevenshteinAutomatonBuilder {
    static ONE: OnceLock<LevenshteinAutomatonBuilder> = OnceLock::new();
    static TWO: OnceLock<LevenshteinAutomatonBuilder> = OnceLock::new();
    let built = if edits == 1 { &ONE } else { &TWO };
    built.get_or_init(|| LevenshteinAutomatonBuilder::new(edits, true))
}

/// Accepts the entries whose surface is within an edit distance of a word.
struct LevenshteinFilter(DFA);

/// The state of a [`LevenshteinFilter`] within an entry.
#[derive(Clone, Copy)]
enum EntryState {
    Surface(u32),
    /// After the surface, which was accepted.
    Stem,
    Rejected,
}

impl LevenshteinFilter {
    fn edits(&self, surface: &str) -> u8 {
        match self.0.eval(surface) {
            Distance::Exact(edits) | Distance::AtLeast(edits) => edits,
        }
    }
}

impl Automaton for &LevenshteinFilter {
    type State = EntryState;

    fn start(&self) -> EntryState {
        EntryState::Surface(self.0.initial_state())
    }

    fn is_match(&self, state: &EntryState) -> bool {
        matches!(state, EntryState::Stem)
    }

    fn can_match(&self, state: &EntryState) -> bool {
        !matches!(state, EntryState::Rejected)
    }

    fn will_always_match(&self, state: &EntryState) -> bool {
        matches!(state, EntryState::Stem)
    }

    fn accept(&self, state: &EntryState, byte: u8) -> EntryState {
        match *state {
            EntryState::Surface(at) if byte == 0 => match self.0.distance(at) {
                Distance::Exact(_) => EntryState::Stem,
                Distance::AtLeast(_) => EntryState::Rejected,
            },
            EntryState::Surface(at) => match self.0.transition(at, byte) {
                SINK_STATE => EntryState::Rejected,
                next => EntryState::Surface(next),
            },
            other => other,
        }
    }
}
