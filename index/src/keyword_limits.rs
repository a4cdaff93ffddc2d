//! Limits of a keyword query, so that no query takes seconds. A leaf: it knows no index.

/// Bytes of a query, or of a sentence's beginning that is used.
pub(crate) const MOST_BYTES: usize = 64 << 10;

/// Clauses of a query.
const MOST_CLAUSES: usize = 1024;

/// Words of all clauses together, including phrases.
const MOST_WORDS: usize = 1024;

/// Prefixes of a query.
const MOST_PREFIXES: usize = 64;

/// Phrases, including compound words that are required or excluded.
const MOST_PHRASES: usize = 128;

/// Words of the vocabulary that all prefixes of a query may match.
const MOST_COMPLETED: usize = 4 << 20;

/// Distinct words of a sentence whose frequency is looked up; further words add little.
pub(crate) const MOST_LOOKED_UP: usize = 1024;

/// Plain words that are searched; of more, the rarest.
pub(crate) const MOST_PLAIN: usize = 128;

/// Compound words that rank higher if their parts are adjacent.
pub(crate) const MOST_COMPOUNDS: usize = 32;

/// Parts of a compound word.
pub(crate) const MOST_PARTS: usize = 64;

/// Unknown words of a query that are corrected. A text in a language that the collection does not
/// contain has more, and none of them is a typo.
pub(crate) const MOST_MISSPELT: usize = 16;

/// Bytes of a word that is corrected.
pub(crate) const LONGEST_MISSPELT: usize = 64;

/// A keyword query exceeds a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryTooLarge {
    /// It is too long.
    #[error("the keywords have {0} bytes, the maximum is {MOST_BYTES}")]
    Bytes(usize),
    /// Too many words, phrases and other clauses.
    #[error("the keywords have {0} clauses, the maximum is {MOST_CLAUSES}")]
    Clauses(usize),
    /// Too many words, including those of phrases.
    #[error(
        "the keywords have more than {MOST_WORDS} words; a sentence of any length may be sent as 'text'"
    )]
    Words,
    /// Too many prefixes.
    #[error("the keywords have {0} prefixes, the maximum is {MOST_PREFIXES}")]
    Prefixes(usize),
    /// Too many phrases and compound words.
    #[error("the keywords have more than {MOST_PHRASES} phrases")]
    Phrases,
    /// Prefixes of too many words.
    #[error(
        "more than {MOST_COMPLETED} words have these prefixes; write more letters before the '*'"
    )]
    Completions,
}

/// The part of its limits that a query has used.
#[derive(Debug, Default)]
pub(crate) struct QueryUsage {
    words: usize,
    phrases: usize,
    completed: usize,
}

impl QueryUsage {
    pub(crate) fn words(&mut self, count: usize) -> Result<(), QueryTooLarge> {
        self.words += count;
        within(self.words, MOST_WORDS, QueryTooLarge::Words)
    }

    pub(crate) fn phrase(&mut self) -> Result<(), QueryTooLarge> {
        self.phrases += 1;
        within(self.phrases, MOST_PHRASES, QueryTooLarge::Phrases)
    }

    /// Counts a word of the vocabulary that was read for a prefix.
    pub(crate) fn completion(&mut self) -> Result<(), QueryTooLarge> {
        self.completed += 1;
        within(self.completed, MOST_COMPLETED, QueryTooLarge::Completions)
    }
}

/// Whether a query of this length may have too many words: each has at least one byte.
pub(crate) fn may_have_too_many_words(bytes: usize) -> bool {
    bytes > MOST_WORDS
}

pub(crate) fn check_bytes(bytes: usize) -> Result<(), QueryTooLarge> {
    within(bytes, MOST_BYTES, QueryTooLarge::Bytes(bytes))
}

pub(crate) fn check_clauses(clauses: usize, prefixes: usize) -> Result<(), QueryTooLarge> {
    within(clauses, MOST_CLAUSES, QueryTooLarge::Clauses(clauses))?;
    within(prefixes, MOST_PREFIXES, QueryTooLarge::Prefixes(prefixes))
}

fn within(count: usize, most: usize, error: QueryTooLarge) -> Result<(), QueryTooLarge> {
    if count > most { Err(error) } else { Ok(()) }
}
