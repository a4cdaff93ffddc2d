//! How text becomes words, the same for documents and queries.
//!
//! Words are cut out (`tokens`, or `segments` where a dictionary or a model must find them),
//! lower-cased, stripped of accents and stemmed as their language says; longer ones than
//! [`LONGEST`] are dropped. Of each word the index knows its stem, by which it is found, and
//! its surface, the word as written but for case and accents, which prefixes and misspelt
//! words are compared with.
//!
//! Stop words are indexed, so that phrases made of them are found, and dropped from plain
//! words of a query: else every text would be a keyword hit of every sentence.

mod analyzer;
mod segments;
mod stem;
mod stop_words;
mod tokens;

pub use analyzer::{Analyzer, UnknownAnalyzer};

use tantivy::tokenizer::{AsciiFoldingFilter, LowerCaser, RemoveLongFilter, TextAnalyzer};

use self::segments::SegmentTokenizer;
use self::stem::{Keep, Stem};
use self::tokens::WordTokenizer;

pub(super) use self::tokens::is_ideograph;

pub(super) use self::stem::split_entry;

/// Bytes of the longest word kept.
const LONGEST: usize = 64;

/// Bytes of the longest value kept whole.
const LONGEST_VALUE: usize = 512;

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// As the index holds it.
    pub(super) stem: String,
    /// As it is written, but for case and accents.
    pub(super) surface: String,
    /// Whether it says nothing about a text.
    pub(super) stop: bool,
    /// Its place among the words, for phrases.
    pub(super) position: usize,
    /// Where it begins in the text, in bytes.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
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
            return TextAnalyzer::builder(tantivy::tokenizer::RawTokenizer::default())
                .filter(LowerCaser)
                .filter(RemoveLongFilter::limit(LONGEST_VALUE))
                .filter(Stem::new(None, keep))
                .build();
        }
        Analyzer::Chinese | Analyzer::Japanese => {
            TextAnalyzer::builder(SegmentTokenizer::new(analyzer)).dynamic()
        }
        _ => TextAnalyzer::builder(WordTokenizer::new(analyzer)).dynamic(),
    };
    let stem = Stem::new(analyzer.stemming(), keep);
    let lower = words.filter_dynamic(LowerCaser);
    let chain = if analyzer == Analyzer::English {
        // English has no accents but those of borrowed words, which stem as if they had none.
        lower
            .filter_dynamic(AsciiFoldingFilter)
            .filter_dynamic(RemoveLongFilter::limit(LONGEST))
            .filter_dynamic(stem)
    } else {
        lower
            .filter_dynamic(RemoveLongFilter::limit(LONGEST))
            .filter_dynamic(stem)
            .filter_dynamic(AsciiFoldingFilter)
    };
    chain.build()
}
