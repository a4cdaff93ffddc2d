//! The filter that takes a word's ending off, and an entry of the vocabulary: a word's
//! surface, a zero byte, its stem.

use rust_stemmers::{Algorithm, Stemmer};
use tantivy::tokenizer::{Language, Token, TokenFilter, TokenStream, Tokenizer};

/// No word holds it.
const SEPARATOR: char = '\0';

/// The surface and the stem of an entry.
pub(in crate::words) fn split_entry(entry: &str) -> (&str, &str) {
    entry.split_once(SEPARATOR).unwrap_or((entry, entry))
}

/// What becomes of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Its stem.
    Stem,
    /// An entry of the vocabulary.
    Both,
}

#[derive(Clone)]
pub(super) struct Stem {
    algorithm: Option<Algorithm>,
    keep: Keep,
}

impl Stem {
    /// Without a language a word is its own stem.
    pub(super) fn new(language: Option<Language>, keep: Keep) -> Self {
        Self {
            algorithm: language.and_then(algorithm),
            keep,
        }
    }
}

#[derive(Clone)]
pub(super) struct StemTokenizer<T> {
    inner: T,
    stem: Stem,
}

pub(super) struct StemStream<T> {
    inner: T,
    stemmer: Option<Stemmer>,
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
            stemmer: self.stem.algorithm.map(Stemmer::create),
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
            // Only a value that is kept whole can hold it.
            *word = word.replace(SEPARATOR, " ");
        }
        let stem = self.stemmer.as_ref().map(|stemmer| stemmer.stem(word));
        match (self.keep, stem) {
            (Keep::Stem, None) => {}
            (Keep::Stem, Some(stem)) => *word = stem.into_owned(),
            (Keep::Both, stem) => {
                let stem = stem.map_or_else(|| word.clone(), std::borrow::Cow::into_owned);
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

/// `None` for a language that no analyzer has.
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
