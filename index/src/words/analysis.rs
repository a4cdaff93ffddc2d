//! How text becomes words, the same for documents and queries.
//!
//! A word is a run of letters and digits; an apostrophe inside it is dropped ("don't" is
//! `dont`) and a possessive ending with it ("Elizabeth's" is `elizabeth`). Chinese, Japanese
//! and Korean characters, which no space parts, are a word each. Words are lower-cased,
//! lose their accents and are stemmed as English; longer ones than [`LONGEST`] are dropped.
//!
//! Stop words are indexed, so that phrases made of them are found, and dropped from plain
//! words of a query: else every text would be a keyword hit of every sentence.

use std::str::CharIndices;

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RemoveLongFilter, Stemmer, TextAnalyzer, Token,
    TokenStream, Tokenizer,
};

/// The name under which documents' analyzer is registered.
pub(super) const ANALYZER: &str = "clipdb_words";

/// Bytes of the longest word kept.
const LONGEST: usize = 64;

/// The analyzer of documents.
pub(super) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(WordTokenizer::default())
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .filter(RemoveLongFilter::limit(LONGEST))
        .filter(Stemmer::new(Language::English))
        .build()
}

/// A query's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// As the index holds it.
    pub(super) stem: String,
    /// Whether it says nothing about a text.
    pub(super) stop: bool,
}

/// The words of a query's text.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut plain = TextAnalyzer::builder(WordTokenizer::default())
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .filter(RemoveLongFilter::limit(LONGEST))
        .build();
    let mut surfaces = Vec::new();
    plain
        .token_stream(text)
        .process(&mut |token| surfaces.push(token.text.clone()));
    let mut stems = Vec::new();
    analyzer()
        .token_stream(text)
        .process(&mut |token| stems.push(token.text.clone()));
    stems
        .into_iter()
        .zip(surfaces)
        .map(|(stem, surface)| Word {
            stem,
            stop: STOP_WORDS.binary_search(&surface.as_str()).is_ok(),
        })
        .collect()
}

#[derive(Clone, Default)]
struct WordTokenizer {
    token: Token,
}

struct WordStream<'a> {
    text: &'a str,
    rest: CharIndices<'a>,
    token: &'a mut Token,
}

impl Tokenizer for WordTokenizer {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream {
            text,
            rest: text.char_indices(),
            token: &mut self.token,
        }
    }
}

impl WordStream<'_> {
    /// The next character that `rest` would give, without taking it.
    fn peek(&self) -> Option<char> {
        self.rest.clone().next().map(|(_, c)| c)
    }

    fn take_word(&mut self) {
        while let Some(c) = self.peek() {
            if is_apostrophe(c) {
                let after = self.rest.clone().nth(1).map(|(_, c)| c);
                if !after.is_some_and(is_word_letter) {
                    return;
                }
                self.rest.next();
                let tail = self.rest.clone().nth(1).map(|(_, c)| c);
                if matches!(after, Some('s' | 'S')) && !tail.is_some_and(is_word_letter) {
                    self.rest.next();
                    return;
                }
            } else if is_word_letter(c) {
                self.token.text.push(c);
                self.rest.next();
            } else {
                return;
            }
        }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        self.token.text.clear();
        self.token.position = self.token.position.wrapping_add(1);
        while let Some((from, c)) = self.rest.next() {
            if !c.is_alphanumeric() {
                continue;
            }
            self.token.text.push(c);
            if is_word_letter(c) {
                self.take_word();
            }
            self.token.offset_from = from;
            self.token.offset_to = self
                .rest
                .clone()
                .next()
                .map_or(self.text.len(), |(offset, _)| offset);
            return true;
        }
        false
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}')
}

fn is_word_letter(c: char) -> bool {
    c.is_alphanumeric() && !is_ideograph(c)
}

/// Characters of scripts written without spaces: kana, CJK ideographs, hangul syllables.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// English words that stand in any text, sorted: articles, pronouns, prepositions,
/// auxiliaries and their contractions without the apostrophe.
#[rustfmt::skip]
const STOP_WORDS: [&str; 160] = [
    "a", "about", "above", "after", "again", "against", "all", "am", "an", "and", "any", "are",
    "arent", "as", "at", "be", "because", "been", "before", "being", "below", "between", "both",
    "but", "by", "can", "cant", "could", "couldnt", "did", "didnt", "do", "does", "doesnt",
    "doing", "dont", "down", "during", "each", "few", "for", "from", "further", "had", "hadnt",
    "has", "hasnt", "have", "havent", "having", "he", "her", "here", "hers", "herself", "hes",
    "him", "himself", "his", "how", "i", "if", "im", "in", "into", "is", "isnt", "it", "its",
    "itself", "ive", "just", "me", "more", "most", "must", "mustnt", "my", "myself", "no", "nor",
    "not", "now", "of", "off", "on", "once", "only", "or", "other", "ought", "our", "ours",
    "ourselves", "out", "over", "own", "same", "shall", "she", "shes", "should", "shouldnt", "so",
    "some", "such", "than", "that", "thats", "the", "their", "theirs", "them", "themselves",
    "then", "there", "theres", "these", "they", "theyre", "this", "those", "through", "to", "too",
    "under", "until", "up", "upon", "us", "very", "was", "wasnt", "we", "were", "werent", "what",
    "when", "where", "which", "while", "who", "whom", "whose", "why", "will", "with", "wont",
    "would", "wouldnt", "yet", "you", "youd", "youll", "your", "youre", "yours", "yourself",
    "yourselves", "youve",
];
