//! Splits Chinese and Japanese, which have no spaces between words: jieba's dictionary (with its
//! hidden Markov model for unknown words) and TinySegmenter's model find the words in each run of
//! such characters. Text between the runs is split like that of other languages.
//!
//! The position of a word is that of its first character, so a phrase is found regardless of how the
//! words before it were split. Chinese words that the dictionary finds within a longer word are words
//! too: 大学生 is found by 大学 and 学生.

use std::sync::LazyLock;

use jieba_rs::Jieba;
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use super::analyzer::Analyzer;
use super::letters::is_ideograph;
use super::normal::Normal;
use super::tokens::Cutter;

/// Loaded with the first Chinese text, which takes half a second and 20 MB.
static JIEBA: LazyLock<Jieba> = LazyLock::new(Jieba::new);

#[derive(Clone)]
pub(super) struct SegmentTokenizer {
    language: Analyzer,
}

pub(super) struct SegmentStream {
    tokens: std::vec::IntoIter<Token>,
    token: Token,
}

impl SegmentTokenizer {
    pub(super) fn new(language: Analyzer) -> Self {
        Self { language }
    }

    /// The words of a run with their first bytes.
    fn segments(&self, run: &str) -> Vec<(usize, String)> {
        if self.language == Analyzer::Japanese {
            let mut at = 0;
            return tinysegmenter::tokenize(run)
                .into_iter()
                .map(|word| {
                    let start = at;
                    at += word.len();
                    (start, word)
                })
                .collect();
        }
        JIEBA
            .cut_for_search(run, true)
            .into_iter()
            .map(|word| (word.byte_start, word.word.to_owned()))
            .collect()
    }

    /// The words of a normalised text.
    fn tokens(&self, text: &str) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut position = 0;
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let offset = text.len() - rest.len();
            let in_run = is_ideograph(first);
            let end = rest
                .find(|c| is_ideograph(c) != in_run)
                .unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            rest = after;
            if in_run {
                for (start, word) in self.segments(run) {
                    if !word.contains(char::is_alphanumeric) {
                        continue;
                    }
                    tokens.push(Token {
                        offset_from: offset + start,
                        offset_to: offset + start + word.len(),
                        position: position + run[..start].chars().count(),
                        text: word,
                        position_length: 1,
                    });
                }
                position += run.chars().count();
            } else {
                let mut cutter = Cutter::new(self.language);
                let mut token = Token::default();
                while cutter.next(run, &mut token) {
                    tokens.push(Token {
                        offset_from: offset + token.offset_from,
                        offset_to: offset + token.offset_to,
                        position: position + token.position,
                        ..token.clone()
                    });
                }
                position += cutter.position();
            }
        }
        tokens
    }
}

impl Tokenizer for SegmentTokenizer {
    type TokenStream<'a> = SegmentStream;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> SegmentStream {
        let normal = Normal::of(text);
        let mut tokens = self.tokens(normal.text());
        // Tantivy requires ascending positions.
        tokens.sort_by_key(|token| token.position);
        for token in &mut tokens {
            let original = normal.original(token.offset_from..token.offset_to);
            token.offset_from = original.start;
            token.offset_to = original.end;
        }
        SegmentStream {
            tokens: tokens.into_iter(),
            token: Token::default(),
        }
    }
}

impl TokenStream for SegmentStream {
    fn advance(&mut self) -> bool {
        match self.tokens.next() {
            Some(token) => {
                self.token = token;
                true
            }
            None => false,
        }
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}
