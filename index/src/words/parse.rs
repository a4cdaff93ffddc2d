//! The query language: what a user may write, read so that nothing is ever an error.
//!
//! ```text
//! word        may occur; more and rarer words rank higher
//! pota*       any word that begins so may occur
//! "a phrase"  may occur, its words in this order; stop words count
//! +x          must occur; x is a word, a prefix, a phrase or field:x
//! -x          must not occur
//! field:x     x in that field of the metadata; dots reach inside objects
//! ```
//! Whatever does not read as one of these is plain words: an unbalanced quote, a lonely
//! sign, a colon before a space. Quotes may be those of any language („…“, «…»), and signs
//! the full-width ones of an East Asian keyboard. Only a query that is [too
//! large](QueryTooLarge) is refused.

use super::analysis::{self, is_emoji, is_mark};
use super::bounds::{self, QueryTooLarge};

/// A keyword query, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeywordQuery {
    pub(super) clauses: Vec<Clause>,
    pub(super) typos: bool,
    /// Whether it was no query: then what is too much of it is passed over.
    pub(super) is_sentence: bool,
    /// Bytes as it was written.
    pub(super) bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) need: Need,
    pub(super) field: Option<String>,
    pub(super) text: String,
    pub(super) quoted: bool,
    /// `text` is the beginning of a word.
    pub(super) prefix: bool,
}

/// Whether a document needs what a clause asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    May,
    Must,
    MustNot,
}

impl KeywordQuery {
    /// Reads the query language. One that is [too large](Self::check) is not read.
    pub fn parse(query: &str) -> Self {
        let mut rest = query;
        let mut clauses = Vec::new();
        if bounds::check_bytes(query.len()).is_err() {
            rest = "";
        }
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return Self {
                    clauses,
                    typos: true,
                    is_sentence: false,
                    bytes: query.len(),
                };
            }
            let (clause, after) = clause(rest);
            clauses.push(clause);
            rest = after;
        }
    }

    /// Takes every character as plain words: for a sentence that was not written as a query.
    /// Of a very long one the beginning.
    pub fn plain(sentence: &str) -> Self {
        let looked_at = analysis::beginning(sentence, bounds::MOST_BYTES);
        Self {
            clauses: looked_at.split_whitespace().map(plain).collect(),
            typos: true,
            is_sentence: true,
            bytes: looked_at.len(),
        }
    }

    /// Whether it asks no more than a query may.
    ///
    /// # Errors
    /// What is too much. How many words it has depends on the collection's analyzers, so a
    /// search may still find it too large.
    pub fn check(&self) -> Result<(), QueryTooLarge> {
        if self.is_sentence {
            return Ok(());
        }
        bounds::check_bytes(self.bytes)?;
        let prefixes = self.clauses.iter().filter(|clause| clause.prefix).count();
        bounds::check_clauses(self.clauses.len(), prefixes)
    }

    /// What it says must not occur, which alone is a query for all that does not hold it;
    /// `None` where it says nothing of the kind.
    pub fn exclusions(&self) -> Option<Self> {
        let mut only = self.clone();
        only.clauses.retain(|clause| clause.need == Need::MustNot);
        (!only.clauses.is_empty()).then_some(only)
    }

    /// Whether a plain word that no document holds also finds the words nearest to it; it
    /// does unless this is called.
    pub fn with_typos(self, typos: bool) -> Self {
        Self { typos, ..self }
    }
}

fn plain(word: &str) -> Clause {
    Clause {
        need: Need::May,
        field: None,
        text: word.to_owned(),
        quoted: false,
        prefix: false,
    }
}

/// The first clause of `text`, which starts with no space, and what follows it.
fn clause(text: &str) -> (Clause, &str) {
    let (need, body) = sign(text);
    let (field, body) = field_name(body);
    let field = field.map(str::to_owned);
    if let Some((phrase, after)) = quoted(body) {
        let clause = Clause {
            need,
            field,
            text: phrase.to_owned(),
            quoted: true,
            prefix: false,
        };
        return (clause, after);
    }
    let end = body.find(char::is_whitespace).unwrap_or(body.len());
    let (word, after) = body.split_at(end);
    let beginning = beginning(word);
    let clause = Clause {
        need,
        field,
        text: beginning.unwrap_or(word).to_owned(),
        quoted: false,
        prefix: beginning.is_some(),
    };
    (clause, after)
}

/// What stands before the star of `pota*`.
fn beginning(word: &str) -> Option<&str> {
    word.strip_suffix(['*', '＊'])
        .filter(|beginning| beginning.ends_with(|c: char| c.is_alphanumeric() || is_mark(c)))
}

fn sign(text: &str) -> (Need, &str) {
    let (need, body) = if let Some(body) = text.strip_prefix(['+', '＋']) {
        (Need::Must, body)
    } else if let Some(body) = text.strip_prefix(['-', '－', '\u{2212}']) {
        (Need::MustNot, body)
    } else {
        return (Need::May, text);
    };
    if starts_value(body) {
        (need, body)
    } else {
        (Need::May, body)
    }
}

/// Splits `name:` off when a name and a value are there.
fn field_name(text: &str) -> (Option<&str>, &str) {
    let named = |c: char| {
        c.is_alphanumeric() || is_mark(c) || matches!(c, '_' | '-' | '.' | '$' | '@' | '/')
    };
    match text.split_once([':', '：']) {
        Some((name, value))
            if name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '$' | '@'))
                && name.chars().all(named)
                && starts_value(value) =>
        {
            (Some(name), value)
        }
        _ => (None, text),
    }
}

/// `"…"` at the start: the inside and what follows. `None` when unbalanced.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let first = text.chars().next()?;
    text[first.len_utf8()..].split_once(closing(first)?)
}

/// What ends a phrase that begins with this quote.
fn closing(quote: char) -> Option<&'static [char]> {
    match quote {
        '"' | '＂' => Some(&['"', '＂']),
        '“' | '„' | '‟' => Some(&['”', '“', '"']),
        '”' => Some(&['”', '"']),
        '«' => Some(&['»']),
        '»' => Some(&['«', '»']),
        '「' => Some(&['」']),
        '『' => Some(&['』']),
        _ => None,
    }
}

fn starts_value(text: &str) -> bool {
    text.starts_with(|c: char| {
        c.is_alphanumeric()
            || matches!(c, '_' | '-' | '.' | '#' | '@' | '$')
            || closing(c).is_some()
            || is_emoji(c)
    })
}
