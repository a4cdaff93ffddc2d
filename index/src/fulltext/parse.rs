//! The keyword query language. It has no syntax errors.
//!
//! ```text
//! word        optional; more and rarer words rank higher
//! pota*       any word with this prefix, optional
//! "a phrase"  these words in this order, optional; stop words count
//! +x          required; x is a word, a prefix, a phrase or field:x
//! -x          excluded
//! field:x     x in this field of the metadata; dots separate the names of nested objects
//! ```
//! Everything else is plain words: an unbalanced quote, a single sign, a colon before a space.
//! Quotes of any language („…“, «…») and the full-width signs of East Asian keyboards work too. Only
//! a query that is [too large](QueryTooLarge) is refused.

use super::analysis::{self, is_emoji, is_mark};
use crate::keyword_limits::{self, QueryTooLarge};

/// A parsed keyword query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeywordQuery {
    pub(super) clauses: Vec<Clause>,
    pub(super) typos: bool,
    /// Whether it is a sentence instead of a query: then the excess over a limit is ignored.
    pub(super) is_sentence: bool,
    /// Length of the source in bytes.
    pub(super) bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) requirement: Requirement,
    pub(super) field: Option<String>,
    pub(super) text: String,
    pub(super) quoted: bool,
    /// Whether `text` is the beginning of a word.
    pub(super) prefix: bool,
}

/// How a clause affects which documents match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Requirement {
    Optional,
    Required,
    Excluded,
}

impl KeywordQuery {
    /// Parses the query language. A query that is [too large](Self::check) is not parsed.
    pub fn parse(query: &str) -> Self {
        let mut rest = query;
        let mut clauses = Vec::new();
        if keyword_limits::check_bytes(query.len()).is_err() {
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

    /// Takes a sentence as plain words. Of a very long sentence, uses only the beginning.
    pub fn plain(sentence: &str) -> Self {
        let used = analysis::beginning(sentence, keyword_limits::MOST_BYTES);
        Self {
            clauses: used.split_whitespace().map(plain).collect(),
            typos: true,
            is_sentence: true,
            bytes: used.len(),
        }
    }

    /// Checks the limits of a query.
    ///
    /// # Errors
    /// The limit that is exceeded. The number of words depends on the collection's analyzers, so a
    /// search may still refuse the query.
    pub fn check(&self) -> Result<(), QueryTooLarge> {
        if self.is_sentence {
            return Ok(());
        }
        keyword_limits::check_bytes(self.bytes)?;
        let prefixes = self.clauses.iter().filter(|clause| clause.prefix).count();
        keyword_limits::check_clauses(self.clauses.len(), prefixes)
    }

    /// The query of its excluded clauses only, which matches all documents without them; `None` if
    /// it has none.
    pub fn exclusions(&self) -> Option<Self> {
        let mut exclusions = self.clone();
        exclusions
            .clauses
            .retain(|clause| clause.requirement == Requirement::Excluded);
        (!exclusions.clauses.is_empty()).then_some(exclusions)
    }

    /// Sets whether a plain word without documents also finds the words nearest to it. The default
    /// is true.
    pub fn with_typos(self, typos: bool) -> Self {
        Self { typos, ..self }
    }
}

fn plain(word: &str) -> Clause {
    Clause {
        requirement: Requirement::Optional,
        field: None,
        text: word.to_owned(),
        quoted: false,
        prefix: false,
    }
}

/// The first clause of `text`, which must not start with a space, and the rest.
fn clause(text: &str) -> (Clause, &str) {
    let (requirement, body) = sign(text);
    let (field, body) = field_name(body);
    let field = field.map(str::to_owned);
    if let Some((phrase, after)) = quoted(body) {
        let clause = Clause {
            requirement,
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
        requirement,
        field,
        text: beginning.unwrap_or(word).to_owned(),
        quoted: false,
        prefix: beginning.is_some(),
    };
    (clause, after)
}

/// The part before the star of `pota*`.
fn beginning(word: &str) -> Option<&str> {
    word.strip_suffix(['*', '＊'])
        .filter(|beginning| beginning.ends_with(|c: char| c.is_alphanumeric() || is_mark(c)))
}

fn sign(text: &str) -> (Requirement, &str) {
    let (requirement, body) = if let Some(body) = text.strip_prefix(['+', '＋']) {
        (Requirement::Required, body)
    } else if let Some(body) = text.strip_prefix(['-', '－', '\u{2212}']) {
        (Requirement::Excluded, body)
    } else {
        return (Requirement::Optional, text);
    };
    if starts_value(body) {
        (requirement, body)
    } else {
        (Requirement::Optional, body)
    }
}

/// Splits off `name:` if a name and a value are present.
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

/// The text inside `"…"` at the start, and the rest. `None` if the quotes are unbalanced.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let first = text.chars().next()?;
    text[first.len_utf8()..].split_once(closing(first)?)
}

/// The quotes that end a phrase that begins with this one.
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
