//! How text becomes words, the same for documents and queries.
//!
//! A text is brought into one form (`normal`) and cut into words (`tokens`, or `segments` where
//! a dictionary or a model must find them), which are lower-cased, freed of accents and letters
//! that are written in two ways (`letters`) and stemmed as their language says. Longer ones than
//! [`long::LONGEST`] are kept as their beginning and a digest. Of each word the index knows its
//! stem, by which it is found, and its surface, the word as written but for case and accents,
//! which prefixes and misspelt words are compared with.
//!
//! Stop words are indexed, so that phrases made of them are found, and dropped from plain
//! words of a query: else every text would be a keyword hit of every sentence.

mod analyzer;
mod dictionary;
mod exact;
mod letters;
mod long;
mod normal;
mod segments;
mod stem;
mod stop_words;
mod tokens;

pub use analyzer::{Analyzer, UnknownAnalyzer};

use tantivy::tokenizer::{AsciiFoldingFilter, TextAnalyzer};

use self::exact::ExactTokenizer;
use self::segments::SegmentTokenizer;
use self::stem::{Keep, Stem};
use self::tokens::WordTokenizer;

pub(super) use self::letters::{is_emoji, is_ideograph, is_mark};
pub(super) use self::long::beginning;
pub(super) use self::stem::split_entry;

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// As the index holds it.
    pub(super) stem: String,
    /// As it is written, but for case and accents.
    pub(super) surface: String,
    /// Whether it says nothing about a text.
    pub(super) stop: bool,
    pub(super) role: Role,
    /// Its place among the words, for phrases.
    pub(super) position: usize,
    /// Where it begins in the text, in bytes.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
}

/// What a word is to those at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// One of the text's words.
    Plain,
    /// The plain word before it with its sign: more exactly what is meant.
    Signed,
    /// Part of the plain word before it, and a word itself.
    Inner,
    /// Several plain words as one, beginning with the one before it: another way to write
    /// them. With how many they are.
    Joined(usize),
}

/// The words of a query's text.
pub(super) fn words(analyzer: Analyzer, text: &str) -> Vec<Word> {
    let stop = stop_words::starts(analyzer, text);
    let mut words = Vec::new();
    read(chain(analyzer, Keep::Both), text, |word| {
        let is_stop = if analyzer == Analyzer::English {
            stop_words::is_english(&word.surface)
        } else {
            stop.contains(&word.start)
        };
        words.push(Word {
            stop: is_stop,
            ..word
        });
    });
    words
}

/// A text's words in their order, whether they say anything or not.
pub(super) fn each_word(analyzer: Analyzer, text: &str, mut take: impl FnMut(Word)) {
    read(chain(analyzer, Keep::Both), text, &mut take);
}

fn read(mut analyzer: TextAnalyzer, text: &str, mut take: impl FnMut(Word)) {
    analyzer.token_stream(text).process(&mut |token| {
        let (surface, stem) = split_entry(&token.text);
        take(Word {
            stem: stem.to_owned(),
            surface: surface.to_owned(),
            stop: false,
            role: match token.position_length {
                0 if surface.chars().all(|c| c.is_alphanumeric() || is_mark(c)) => Role::Inner,
                0 => Role::Signed,
                1 => Role::Plain,
                parts => Role::Joined(parts),
            },
            position: token.position,
            start: token.offset_from,
            end: token.offset_to,
        });
    });
}

/// What indexes a text by its stems.
pub(super) fn of_stems(analyzer: Analyzer) -> TextAnalyzer {
    chain(analyzer, Keep::Stem)
}

/// What indexes a text's vocabulary: each word's surface with its stem.
pub(super) fn of_vocabulary(analyzer: Analyzer) -> TextAnalyzer {
    chain(analyzer, Keep::Both)
}

fn chain(analyzer: Analyzer, keep: Keep) -> TextAnalyzer {
    let words = match analyzer {
        Analyzer::Exact => {
            return TextAnalyzer::builder(ExactTokenizer::default())
                .filter(Stem::new(None, keep))
                .build();
        }
        Analyzer::Chinese | Analyzer::Japanese => {
            TextAnalyzer::builder(SegmentTokenizer::new(analyzer)).dynamic()
        }
        _ => TextAnalyzer::builder(WordTokenizer::new(analyzer)).dynamic(),
    };
    let stem = Stem::new(analyzer.stemming(), keep);
    if analyzer == Analyzer::English {
        // English has no accents but those of borrowed words, which stem as if they had none.
        words
            .filter_dynamic(AsciiFoldingFilter)
            .filter_dynamic(stem)
            .build()
    } else {
        words
            .filter_dynamic(stem)
            .filter_dynamic(AsciiFoldingFilter)
            .build()
    }
}
