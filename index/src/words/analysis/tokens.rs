//! A text as words, before their case, accents and endings are taken off.
//!
//! A word is a run of letters and digits; an apostrophe inside it is dropped ("don't" is
//! `dont`) and a possessive ending with it ("Elizabeth's" is `Elizabeth`). In French and
//! Italian an article that lost its vowel is a word of its own ("l'homme" is `l`, `homme`).
//! Chinese, Japanese and Korean characters, which no space parts, are a word each. Accents
//! that are characters of their own (as in file names of macOS) are dropped, and letters whose
//! lower case depends on the language or on their place are taken as what they are mostly
//! written as.

use std::str::CharIndices;

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use super::Analyzer;

const FRENCH_ELISIONS: &[&str] = &[
    "l", "d", "j", "m", "t", "s", "n", "c", "qu", "jusqu", "lorsqu", "puisqu", "quoiqu",
];

const ITALIAN_ELISIONS: &[&str] = &[
    "l", "un", "d", "c", "v", "m", "t", "s", "n", "all", "dall", "dell", "nell", "sull", "coll",
    "quell", "quest", "sant", "bell",
];

/// Cuts a text into words.
#[derive(Clone)]
pub(super) struct WordTokenizer {
    language: Analyzer,
    token: Token,
}

pub(super) struct WordStream<'a> {
    text: &'a str,
    language: Analyzer,
    rest: CharIndices<'a>,
    token: &'a mut Token,
}

impl WordTokenizer {
    pub(super) fn new(language: Analyzer) -> Self {
        Self {
            language,
            token: Token::default(),
        }
    }
}

impl Tokenizer for WordTokenizer {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream {
            text,
            language: self.language,
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

    /// Whether the word so far is one that lost its vowel to the next: "l'homme".
    fn is_elided(&self) -> bool {
        let elided = match self.language {
            Analyzer::French => FRENCH_ELISIONS,
            Analyzer::Italian => ITALIAN_ELISIONS,
            _ => return false,
        };
        elided.contains(&self.token.text.to_lowercase().as_str())
    }

    fn push(&mut self, c: char) {
        self.token.text.push(match c {
            'İ' => 'i',
            'I' if self.language == Analyzer::Turkish => 'ı',
            // Its stems are those of words that end in it.
            'ς' if self.language != Analyzer::Greek => 'σ',
            c => c,
        });
    }

    fn take_word(&mut self) {
        while let Some(c) = self.peek() {
            if is_apostrophe(c) {
                let after = self.rest.clone().nth(1).map(|(_, c)| c);
                if !after.is_some_and(is_word_letter) {
                    return;
                }
                if self.is_elided() {
                    return;
                }
                self.rest.next();
                let tail = self.rest.clone().nth(1).map(|(_, c)| c);
                if matches!(after, Some('s' | 'S')) && !tail.is_some_and(is_word_letter) {
                    self.rest.next();
                    return;
                }
            } else if is_word_letter(c) {
                self.push(c);
                self.rest.next();
            } else if is_accent(c) {
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
            self.push(c);
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

fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

fn is_word_letter(c: char) -> bool {
    c.is_alphanumeric() && !is_ideograph(c)
}

/// Characters of scripts written without spaces: kana, CJK ideographs, hangul syllables.
pub(in crate::words) fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
