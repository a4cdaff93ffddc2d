//! The stemming filter, and entries of the vocabulary: the surface of a word, a zero byte and its
//! stem.

use std::borrow::Cow;

use rust_stemmers::{Algorithm, Stemmer};
use tantivy::tokenizer::{Language, Token, TokenFilter, TokenStream, Tokenizer};

use super::long;

/// Separates surface and stem; no word contains it.
const SEPARATOR: char = '\0';

/// The surface and the stem of an entry.
pub(in crate::fulltext) fn split_entry(entry: &str) -> (&str, &str) {
    entry.split_once(SEPARATOR).unwrap_or((entry, entry))
}

/// The content of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// The stem.
    Stem,
    /// An entry of the vocabulary.
    Both,
}

#[derive(Clone)]
pub(super) struct Stem {
    language: Option<Language>,
    keep: Keep,
}

impl Stem {
    /// A filter for a language; without one, a word is its own stem.
    pub(super) fn new(language: Option<Language>, keep: Keep) -> Self {
        Self { language, keep }
    }
}

#[derive(Clone)]
pub(super) struct StemTokenizer<T> {
    inner: T,
    stem: Stem,
}

pub(super) struct StemStream<T> {
    inner: T,
    stemmer: Option<(Language, Stemmer)>,
    keep: Keep,
}

impl TokenFilter for Stem {
    type Tokenizer<T: Tokenizer> = StemTokenizer<T>;

    fn transform<T: Tokenizer>(self, inner: T) -> StemTokenizer<T> {
        StemTokenizer { inner, stem: self }
    }
}

impl<T: Tokenizer> Tokenizer for StemTokenizer<T> {
    type TokenStream<'a> = StemStream<T::TokenStream<'a>>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Self::TokenStream<'a> {
        StemStream {
            inner: self.inner.token_stream(text),
            stemmer: self.stem.language.and_then(|language| {
                let algorithm = algorithm(language)?;
                Some((language, Stemmer::create(algorithm)))
            }),
            keep: self.stem.keep,
        }
    }
}

impl<T: TokenStream> TokenStream for StemStream<T> {
    fn advance(&mut self) -> bool {
        if !self.inner.advance() {
            return false;
        }
        let word = &mut self.inner.token_mut().text;
        if word.contains(SEPARATOR) {
            // Only the analyzer of exact values can produce it.
            *word = word.replace(SEPARATOR, " ");
        }
        let stem = match &self.stemmer {
            _ if long::cut(word) => None,
            Some((language, stemmer)) => {
                let spelling = one_spelling(*language, word);
                let stem = stemmer.stem(&spelling);
                (stem != *word).then(|| stem.into_owned())
            }
            None => None,
        };
        match (self.keep, stem) {
            (Keep::Stem, None) => {}
            (Keep::Stem, Some(stem)) => *word = stem,
            (Keep::Both, stem) => {
                let stem = stem.unwrap_or_else(|| word.clone());
                word.push(SEPARATOR);
                word.push_str(&stem);
            }
        }
        true
    }

    fn token(&self) -> &Token {
        self.inner.token()
    }

    fn token_mut(&mut self) -> &mut Token {
        self.inner.token_mut()
    }
}

/// Unifies letters with two spellings in the form that the stemmer expects: "Mueller" and "Müller" in
/// German (but not "neue" and "Quelle"), "Aarhus" and "Århus" in Danish and Norwegian, and Swedish
/// letters in Danish words and vice versa.
fn one_spelling(language: Language, word: &str) -> Cow<'_, str> {
    let pairs: &[(&str, &str)] = match language {
        Language::German => &[("ae", "ä"), ("oe", "ö"), ("ue", "ü")],
        Language::Danish | Language::Norwegian => &[("aa", "å"), ("ä", "æ"), ("ö", "ø")],
        Language::Swedish => &[("aa", "å"), ("æ", "ä"), ("ø", "ö")],
        _ => return Cow::Borrowed(word),
    };
    if pairs.iter().all(|(from, _)| !word.contains(from)) {
        return Cow::Borrowed(word);
    }
    let mut spelling = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        let pair = pairs.iter().find(|(from, _)| rest.starts_with(from));
        match pair {
            Some((from, to)) if *from != "ue" || !spelling.ends_with(['a', 'e', 'q', 'ä']) => {
                spelling.push_str(to);
                rest = &rest[from.len()..];
            }
            _ => {
                spelling.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    Cow::Owned(spelling)
}

/// The stemmer of a language; `None` if no analyzer uses the language.
fn algorithm(language: Language) -> Option<Algorithm> {
    Some(match language {
        Language::Arabic => Algorithm::Arabic,
        Language::Danish => Algorithm::Danish,
        Language::Dutch => Algorithm::Dutch,
        Language::English => Algorithm::English,
        Language::Finnish => Algorithm::Finnish,
        Language::French => Algorithm::French,
        Language::German => Algorithm::German,
        Language::Greek => Algorithm::Greek,
        Language::Hungarian => Algorithm::Hungarian,
        Language::Italian => Algorithm::Italian,
        Language::Norwegian => Algorithm::Norwegian,
        Language::Portuguese => Algorithm::Portuguese,
        Language::Romanian => Algorithm::Romanian,
        Language::Russian => Algorithm::Russian,
        Language::Spanish => Algorithm::Spanish,
        Language::Swedish => Algorithm::Swedish,
        Language::Turkish => Algorithm::Turkish,
        Language::Tamil => return None,
    })
}
