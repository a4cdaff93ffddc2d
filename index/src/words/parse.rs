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
//! sign, a colon before a space.

/// A keyword query, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeywordQuery {
    pub(super) clauses: Vec<Clause>,
    pub(super) typos: bool,
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
    /// Reads the query language.
    pub fn parse(query: &str) -> Self {
        let mut rest = query;
        let mut clauses = Vec::new();
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return Self::new(clauses);
            }
            let (clause, after) = clause(rest);
            clauses.push(clause);
            rest = after;
        }
    }

    /// Takes every character as plain words: for a sentence that was not written as a query.
    pub fn plain(sentence: &str) -> Self {
        Self::new(sentence.split_whitespace().map(plain).collect())
    }

    /// Whether a plain word that no document holds also finds the words nearest to it; it
    /// does unless this is called.
    pub fn with_typos(self, typos: bool) -> Self {
        Self { typos, ..self }
    }

    fn new(clauses: Vec<Clause>) -> Self {
        Self {
            clauses,
            typos: true,
        }
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
    word.strip_suffix('*')
        .filter(|beginning| beginning.ends_with(char::is_alphanumeric))
}

fn sign(text: &str) -> (Need, &str) {
    let (need, body) = if let Some(body) = text.strip_prefix('+') {
        (Need::Must, body)
    } else if let Some(body) = text.strip_prefix('-') {
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
    let named = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$' | '@' | '/');
    match text.split_once(':') {
        Some((name, value))
            if name.starts_with(|c: char| c.is_alphabetic() || c == '_')
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
    text.strip_prefix('"')?.split_once('"')
}

fn starts_value(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '"' | '_' | '-'))
}
