//! How much a keyword query may ask, so that none takes seconds from the others.

/// Bytes of a query; of a sentence that was not written as one, those that are looked at.
pub(super) const MOST_BYTES: usize = 64 << 10;

/// Clauses of a query.
const MOST_CLAUSES: usize = 1024;

/// Words in all clauses together, phrases too.
const MOST_WORDS: usize = 1024;

/// Prefixes of a query.
const MOST_PREFIXES: usize = 64;

/// Phrases, and words of several parts that must or must not occur.
const MOST_PHRASES: usize = 128;

/// Words of the vocabulary that all prefixes of a query may stand for.
const MOST_COMPLETED: usize = 4 << 20;

/// Different words of a sentence whose frequency is looked up; those behind them say little
/// that these do not.
pub(super) const MOST_LOOKED_UP: usize = 1024;

/// Plain words that count: of more, the rarest.
pub(super) const MOST_PLAIN: usize = 128;

/// Written words of several parts that rank higher where their parts stand together.
pub(super) const MOST_TOGETHER: usize = 32;

/// Parts of such a word.
pub(super) const MOST_PARTS: usize = 64;

/// Unknown words of a query that other spellings are looked for; a page in a language that
/// the collection does not speak has more, and means none.
pub(super) const MOST_MISSPELT: usize = 16;

/// Bytes of a word that other spellings are looked for.
pub(super) const LONGEST_MISSPELT: usize = 64;

/// A keyword query asks more than one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryTooLarge {
    /// It is a document of its own.
    #[error("the keywords have {0} bytes; they may have {MOST_BYTES}")]
    Bytes(usize),
    /// Too many words, phrases and other clauses.
    #[error("the keywords have {0} clauses; they may have {MOST_CLAUSES}")]
    Clauses(usize),
    /// Too many words, those of phrases counted.
    #[error(
        "the keywords have more than {MOST_WORDS} words; a sentence of any length may be sent as 'text'"
    )]
    Words,
    /// Too many words of which only the beginning is given.
    #[error("the keywords have {0} prefixes; they may have {MOST_PREFIXES}")]
    Prefixes(usize),
    /// Too many groups of words that stand together.
    #[error("the keywords have more than {MOST_PHRASES} phrases")]
    Phrases,
    /// Prefixes that too many words begin with.
    #[error("more than {MOST_COMPLETED} words begin so; write more letters before the '*'")]
    Completions,
}

/// What a query has used up of what it may ask.
#[derive(Debug, Default)]
pub(super) struct Spent {
    words: usize,
    phrases: usize,
    completed: usize,
}

impl Spent {
    pub(super) fn words(&mut self, count: usize) -> Result<(), QueryTooLarge> {
        self.words += count;
        within(self.words, MOST_WORDS, QueryTooLarge::Words)
    }

    pub(super) fn phrase(&mut self) -> Result<(), QueryTooLarge> {
        self.phrases += 1;
        within(self.phrases, MOST_PHRASES, QueryTooLarge::Phrases)
    }

    /// A word of the vocabulary was read for a prefix.
    pub(super) fn completion(&mut self) -> Result<(), QueryTooLarge> {
        self.completed += 1;
        within(self.completed, MOST_COMPLETED, QueryTooLarge::Completions)
    }
}

/// Whether a query of so many bytes may have too many words: each has one at least.
pub(super) fn may_have_too_many_words(bytes: usize) -> bool {
    bytes > MOST_WORDS
}

pub(super) fn check_bytes(bytes: usize) -> Result<(), QueryTooLarge> {
    within(bytes, MOST_BYTES, QueryTooLarge::Bytes(bytes))
}

pub(super) fn check_clauses(clauses: usize, prefixes: usize) -> Result<(), QueryTooLarge> {
    within(clauses, MOST_CLAUSES, QueryTooLarge::Clauses(clauses))?;
    within(prefixes, MOST_PREFIXES, QueryTooLarge::Prefixes(prefixes))
}

fn within(count: usize, most: usize, error: QueryTooLarge) -> Result<(), QueryTooLarge> {
    if count > most { Err(error) } else { Ok(()) }
}
