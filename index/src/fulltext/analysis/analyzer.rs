//! The analyzers that a collection can use, by name.

use std::fmt;
use std::str::FromStr;

use tantivy::tokenizer::Language;

/// The analysis of a field's text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Analyzer {
    /// Words and their Arabic stems.
    Arabic,
    /// Chinese words by jieba's dictionary.
    Chinese,
    /// Words and their Danish stems.
    Danish,
    /// Words and their Dutch stems.
    Dutch,
    /// Words and their English stems.
    #[default]
    English,
    /// The complete value as one word; only case is ignored.
    Exact,
    /// Words and their Finnish stems.
    Finnish,
    /// Words and their French stems; elided articles are separate words.
    French,
    /// Words and their German stems.
    German,
    /// Words and their Greek stems.
    Greek,
    /// Words and their Hungarian stems.
    Hungarian,
    /// Words and their Italian stems; elided articles are separate words.
    Italian,
    /// Japanese words by TinySegmenter's model.
    Japanese,
    /// Words and their Norwegian stems.
    Norwegian,
    /// Words without stemming; case and accents are ignored.
    Plain,
    /// Words and their Portuguese stems.
    Portuguese,
    /// Words and their Romanian stems.
    Romanian,
    /// Words and their Russian stems.
    Russian,
    /// Words and their Spanish stems.
    Spanish,
    /// Words and their Swedish stems.
    Swedish,
    /// Words and their Turkish stems.
    Turkish,
}

/// No analyzer has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown analyzer '{given}'; analyzers are {}", Analyzer::ALL.map(Analyzer::name).join(", "))]
pub struct UnknownAnalyzer {
    /// The unknown name.
    pub given: String,
}

impl Analyzer {
    /// All analyzers, sorted by name.
    pub const ALL: [Self; 21] = [
        Self::Arabic,
        Self::Chinese,
        Self::Danish,
        Self::Dutch,
        Self::English,
        Self::Exact,
        Self::Finnish,
        Self::French,
        Self::German,
        Self::Greek,
        Self::Hungarian,
        Self::Italian,
        Self::Japanese,
        Self::Norwegian,
        Self::Plain,
        Self::Portuguese,
        Self::Romanian,
        Self::Russian,
        Self::Spanish,
        Self::Swedish,
        Self::Turkish,
    ];

    /// Its name in a collection's definition.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arabic => "arabic",
            Self::Chinese => "chinese",
            Self::Danish => "danish",
            Self::Dutch => "dutch",
            Self::English => "english",
            Self::Exact => "exact",
            Self::Finnish => "finnish",
            Self::French => "french",
            Self::German => "german",
            Self::Greek => "greek",
            Self::Hungarian => "hungarian",
            Self::Italian => "italian",
            Self::Japanese => "japanese",
            Self::Norwegian => "norwegian",
            Self::Plain => "plain",
            Self::Portuguese => "portuguese",
            Self::Romanian => "romanian",
            Self::Russian => "russian",
            Self::Spanish => "spanish",
            Self::Swedish => "swedish",
            Self::Turkish => "turkish",
        }
    }

    /// The language of the stemmer, if it has one.
    pub(super) fn stemming(self) -> Option<Language> {
        match self {
            Self::Arabic => Some(Language::Arabic),
            Self::Danish => Some(Language::Danish),
            Self::Dutch => Some(Language::Dutch),
            Self::English => Some(Language::English),
            Self::Finnish => Some(Language::Finnish),
            Self::French => Some(Language::French),
            Self::German => Some(Language::German),
            Self::Greek => Some(Language::Greek),
            Self::Hungarian => Some(Language::Hungarian),
            Self::Italian => Some(Language::Italian),
            Self::Norwegian => Some(Language::Norwegian),
            Self::Portuguese => Some(Language::Portuguese),
            Self::Romanian => Some(Language::Romanian),
            Self::Russian => Some(Language::Russian),
            Self::Spanish => Some(Language::Spanish),
            Self::Swedish => Some(Language::Swedish),
            Self::Turkish => Some(Language::Turkish),
            Self::Chinese | Self::Exact | Self::Japanese | Self::Plain => None,
        }
    }
}

impl fmt::Display for Analyzer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Analyzer {
    type Err = UnknownAnalyzer;

    fn from_str(name: &str) -> Result<Self, UnknownAnalyzer> {
        Self::ALL
            .into_iter()
            .find(|analyzer| analyzer.name() == name)
            .ok_or_else(|| UnknownAnalyzer {
                given: name.to_owned(),
            })
    }
}
