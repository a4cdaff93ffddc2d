//! Chinese and Japanese words, which no space parts: jieba's dictionary (with its hidden
//! Markov model for what the dictionary lacks) and TinySegmenter's model find them in each
//! run of such characters. What stands between the runs is words as of any other language.
//!
//! A word's position is that of its first character, so that a phrase is found however
//! the words before it were cut. Chinese words that the dictionary finds within a longer
//! one are words too: 大学生 is found by 大学 and 学生.

use std::sync::LazyLock;

use jieba_rs::Jieba;
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use super::Analyzer;
use super::tokens::{WordTokenizer, is_ideograph};

/// Read when the first Chinese text comes: it takes half a second and 20 MB.
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

    /// The words within a run, with where each begins.
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
}

impl Tokenizer for SegmentTokenizer {
    type TokenStream<'a> = SegmentStream;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> SegmentStream {
        let mut tokens = Vec::new();
        let mut words = WordTokenizer::new(self.language);
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
                words.token_stream(run).process(&mut |token| {
                    tokens.push(Token {
                        offset_from: offset + token.offset_from,
                        offset_to: offset + token.offset_to,
                        position,
                        ..token.clone()
                    });
                    position += 1;
                });
            }
        }
        // Tantivy wants positions that never go back.
        tokens.sort_by_key(|token| token.position);
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
