//! Text analysis, the same for documents and queries.
//!
//! A text is normalised (`normal`) and split into words (`tokens`, or `segments` where this needs a
//! dictionary or a model). Words are lower-cased, lose accents and spelling variants of letters
//! (`letters`) and are stemmed by the rules of their language. Words longer than [`long::LONGEST`]
//! are replaced by their beginning and a digest. The index has two forms of each word: the stem, by
//! which it is found, and the surface, which is the written word without case and accents and is
//! compared with prefixes and misspelt words.
//!
//! Stop words are indexed, so phrases of them are found, but ignored among the plain words of a
//! query: otherwise every text would be a hit of every sentence.

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
    /// The form in the index.
    pub(super) stem: String,
    /// The written form without case and accents.
    pub(super) surface: String,
    /// Whether it is a stop word.
    pub(super) stop: bool,
    pub(super) role: Role,
    /// Its position among the words, for phrases.
    pub(super) position: usize,
    /// Its first byte in the text.
    pub(super) start: usize,
    /// The byte after it.
    pub(super) end: usize,
}

/// The role of a word among those at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A word of the text.
    Plain,
    /// The preceding plain word with its sign, which is more specific.
    Signed,
    /// Part of the preceding plain word, and a word itself.
    Inner,
    /// Several plain words written as one, beginning with the preceding one, and their number.
    Joined(usize),
}

/// The words of a query, with stop words marked.
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

/// Calls `take` with the words of a text in their order. Stop words are not marked.
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

/// The tantivy analyzer that indexes the stems of a text.
pub(super) fn of_stems(analyzer: Analyzer) -> TextAnalyzer {
    chain(analyzer, Keep::Stem)
}

/// The tantivy analyzer that indexes the vocabulary of a text: each word's surface with its stem.
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
        // English has accents only in loan words, which are stemmed as if they had none.
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
