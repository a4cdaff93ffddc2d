//! The words that documents hold, and which of them a prefix or a misspelt word may mean.

use std::collections::HashMap;
use std::sync::OnceLock;

use levenshtein_automata::{DFA, Distance, LevenshteinAutomatonBuilder, SINK_STATE};
use tantivy::schema::Field;
use tantivy::{InvertedIndexReader, Searcher};
use tantivy_fst::Automaton;

use super::analysis::{Analyzer, is_ideograph, split_entry, words};
use super::bounds::Spent;
use crate::error::IndexError;

/// Stems that a prefix stands for; of more, those of the most frequent words.
pub(super) const MOST_COMPLETIONS: usize = 1024;

/// Stems that are counted at once: of more, half of them stay, those of frequent words.
const MOST_COUNTED: usize = 64 << 10;

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
    spent: &mut Spent,
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
            spent.completion()?;
            if found.len() >= MOST_COUNTED {
                let kept = most_frequent(found, MOST_COUNTED / 2);
                found = kept
                    .into_iter()
                    .map(|meant| (meant.stem, meant.documents))
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
    let near = |edits| Near(automata(edits).build_dfa(word));
    let find = |near: &Near, same_letter, edits| {
        let mut found = HashMap::new();
        for segment in searcher.segment_readers() {
            let index = segment.inverted_index(vocabulary).map_err(reading)?;
            let within = (near, edits);
            nearest(&index, within, analyzer, word, same_letter, &mut found)?;
        }
        Ok::<_, IndexError>(found)
    };
    let one = near(1);
    let found = find(&one, true, 1)?;
    if !found.is_empty() || allowed == 1 {
        return Ok(Spellings {
            edits: 1,
            stems: most_frequent(found, MOST_SPELLINGS),
        });
    }
    // With another first letter one edit more would be two.
    let mut found = find(&near(2), true, 2)?;
    for (stem, documents) in find(&one, false, 1)? {
        *found.entry(stem).or_default() += documents;
    }
    Ok(Spellings {
        edits: 2,
        stems: most_frequent(found, MOST_SPELLINGS),
    })
}

/// Adds the stems of a segment's words with exactly so many edits, that begin with the same
/// letter or with another.
fn nearest(
    index: &InvertedIndexReader,
    (near, edits): (&Near, u8),
    analyzer: Analyzer,
    word: &str,
    same_letter: bool,
    found: &mut HashMap<String, u64>,
) -> Result<(), IndexError> {
    let mut entries = index.terms().search(near);
    let first = word.chars().next();
    if same_letter && let Some(first) = first {
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
        if near.edits(surface) == edits
            && (surface.chars().next() == first) == same_letter
            && !is_stop_word(analyzer, surface)
        {
            add(found, stem, u64::from(entries.value().doc_freq));
        }
    }
    Ok(())
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

fn most_frequent(found: HashMap<String, u64>, limit: usize) -> Vec<Meant> {
    let mut meant: Vec<Meant> = found
        .into_iter()
        .map(|(stem, documents)| Meant { stem, documents })
        .collect();
    let order = |a: &Meant, b: &Meant| {
        let by_documents = b.documents.cmp(&a.documents);
        by_documents.then_with(|| a.stem.cmp(&b.stem))
    };
    if meant.len() > limit {
        meant.select_nth_unstable_by(limit, order);
        meant.truncate(limit);
    }
    meant.sort_unstable_by(order);
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
