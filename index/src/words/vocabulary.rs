//! The words that documents hold, and which of them a prefix or a misspelt word may mean.

use std::collections::HashMap;
use std::sync::OnceLock;

use levenshtein_automata::{DFA, Distance, LevenshteinAutomatonBuilder, SINK_STATE};
use tantivy::Searcher;
use tantivy::schema::Field;
use tantivy_fst::Automaton;

use super::analysis::{Analyzer, is_ideograph, split_entry, words};
use crate::error::IndexError;

/// Stems that a prefix stands for; of more, those of the most frequent words.
pub(super) const MOST_COMPLETIONS: usize = 1024;

/// Stems that a misspelt word may mean.
const MOST_SPELLINGS: usize = 8;

/// Letters from which on a word may have one typo, and two.
const ONE_TYPO: usize = 4;
const TWO_TYPOS: usize = 8;

/// A stem that is meant, with how many documents hold its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meant {
    pub(super) stem: String,
    pub(super) documents: u64,
}

/// Other spellings of a word.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    /// Letters between them and what was written.
    pub(super) edits: u8,
    pub(super) stems: Vec<Meant>,
}

/// The stems of the words that begin with `prefix`, those of frequent words first.
pub(super) fn completions(
    searcher: &Searcher,
    vocabulary: Field,
    prefix: &str,
) -> Result<Vec<Meant>, IndexError> {
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
            if let Ok(entry) = std::str::from_utf8(entries.key()) {
                let (_, stem) = split_entry(entry);
                let documents = u64::from(entries.value().doc_freq);
                *found.entry(stem.to_owned()).or_default() += documents;
            }
        }
    }
    Ok(most_frequent(found, MOST_COMPLETIONS))
}

/// The words nearest to `word` that documents hold, within the typos its length allows.
///
/// A word with a digit in it is a code and has none, nor has one of a script without
/// letters; another first letter counts twice, as it is seldom the one that is wrong. Words
/// that say nothing are never meant.
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
    let first = word.chars().next();
    let mut found: [HashMap<String, u64>; 2] = Default::default();
    for segment in searcher.segment_readers() {
        let index = segment.inverted_index(vocabulary).map_err(reading)?;
        let near = Near(automata(allowed).build_dfa(word));
        let mut entries = index
            .terms()
            .search(&near)
            .into_stream()
            .map_err(|error| reading(error.into()))?;
        while entries.advance() {
            let Ok(entry) = std::str::from_utf8(entries.key()) else {
                continue;
            };
            let (surface, stem) = split_entry(entry);
            let edits = near.edits(surface) + u8::from(surface.chars().next() != first);
            if (1..=allowed).contains(&edits) && !is_stop_word(analyzer, surface) {
                let documents = u64::from(entries.value().doc_freq);
                let of_edits = &mut found[usize::from(edits) - 1];
                *of_edits.entry(stem.to_owned()).or_default() += documents;
            }
        }
    }
    let [one, two] = found;
    let (edits, nearest) = if one.is_empty() { (2, two) } else { (1, one) };
    Ok(Spellings {
        edits,
        stems: most_frequent(nearest, MOST_SPELLINGS),
    })
}

fn reading(error: tantivy::TantivyError) -> IndexError {
    IndexError::tantivy("read the vocabulary")(error)
}

fn most_frequent(found: HashMap<String, u64>, limit: usize) -> Vec<Meant> {
    let mut meant: Vec<Meant> = found
        .into_iter()
        .map(|(stem, documents)| Meant { stem, documents })
        .collect();
    meant.sort_by(|a, b| {
        b.documents
            .cmp(&a.documents)
            .then_with(|| a.stem.cmp(&b.stem))
    });
    meant.truncate(limit);
    meant
}

fn is_stop_word(analyzer: Analyzer, surface: &str) -> bool {
    words(analyzer, surface).iter().all(|word| word.stop)
}

/// Of an alphabet, where a word is several letters.
fn is_letter(c: char) -> bool {
    c.is_alphabetic() && !is_ideograph(c)
}

/// Building one takes milliseconds, so each is built once.
fn automata(edits: u8) -> &'static LevenshteinAutomatonBuilder {
    static ONE: OnceLock<LevenshteinAutomatonBuilder> = OnceLock::new();
    static TWO: OnceLock<LevenshteinAutomatonBuilder> = OnceLock::new();
    let built = if edits == 1 { &ONE } else { &TWO };
    built.get_or_init(|| LevenshteinAutomatonBuilder::new(edits, true))
}

/// Accepts the entries whose surface is near enough to a word.
struct Near(DFA);

/// Where [`Near`] is in an entry.
#[derive(Clone, Copy)]
enum At {
    Surface(u32),
    /// After the surface's end, which was near enough.
    Stem,
    Nowhere,
}

impl Near {
    fn edits(&self, surface: &str) -> u8 {
        match self.0.eval(surface) {
            Distance::Exact(edits) | Distance::AtLeast(edits) => edits,
        }
    }
}

impl Automaton for &Near {
    type State = At;

    fn start(&self) -> At {
        At::Surface(self.0.initial_state())
    }

    fn is_match(&self, state: &At) -> bool {
        matches!(state, At::Stem)
    }

    fn can_match(&self, state: &At) -> bool {
        !matches!(state, At::Nowhere)
    }

    fn will_always_match(&self, state: &At) -> bool {
        matches!(state, At::Stem)
    }

    fn accept(&self, state: &At, byte: u8) -> At {
        match *state {
            At::Surface(at) if byte == 0 => match self.0.distance(at) {
                Distance::Exact(_) => At::Stem,
                Distance::AtLeast(_) => At::Nowhere,
            },
            At::Surface(at) => match self.0.transition(at, byte) {
                SINK_STATE => At::Nowhere,
                next => At::Surface(next),
            },
            other => other,
        }
    }
}
