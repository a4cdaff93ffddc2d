//! The subword model Unigram (Kudo 2018) in little memory, for vocabularies of a hundred languages.
//!
//! `tokenizers` keeps a vocabulary in a trie of hash maps, which takes 250 MB for the 250,000 pieces of
//! XLM-R. Here the pieces are one string with a table of their numbers, in 12 MB; the rest of a
//! tokenizer is the library's. Pieces and scores are the same as the library's, which a test compares.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};

use hashbrown::{DefaultHashBuilder, HashTable};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokenizers::models::unigram::UnigramTrainer;
use tokenizers::{
    DecoderWrapper, Model, ModelWrapper, NormalizerWrapper, PostProcessorWrapper,
    PreTokenizerWrapper, Result, Token, TokenizerImpl,
};

/// A tokenizer whose subword model is [`SubwordModel`].
pub(crate) type Tokenizer = TokenizerImpl<
    SubwordModel,
    NormalizerWrapper,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

/// The subword model of a tokenizer.
pub(crate) enum SubwordModel {
    Unigram(Unigram),
    /// All others.
    Library(Box<ModelWrapper>),
}

/// The vocabulary of Unigram, with a score for each piece.
pub(crate) struct Unigram {
    vocabulary: Vocabulary,
    unknown: u32,
    /// The score of a character that is no piece.
    unknown_score: f64,
}

/// Pieces by number, and numbers by piece.
#[derive(Default)]
struct Vocabulary {
    /// All pieces, one after another.
    pieces: String,
    /// The end of each piece.
    ends: Vec<u32>,
    scores: Vec<f64>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The longest piece in bytes.
    longest: usize,
}

/// A vocabulary with longer pieces, in bytes, is the library's: every start of a text as long as the
/// longest piece is looked up. SentencePiece's have at most 16 characters unless it is trained otherwise.
const LONGEST_PIECE: usize = 256;

/// What an unknown character costs more than the rarest piece, as in SentencePiece.
const UNKNOWN_PENALTY: f64 = 10.0;

impl Vocabulary {
    fn push(&mut self, piece: &str, score: f64) {
        let number = self.ends.len() as u32;
        self.pieces.push_str(piece);
        self.ends.push(self.pieces.len() as u32);
        self.scores.push(score);
        self.longest = self.longest.max(piece.len());
        let hash = self.hasher.hash_one(piece.as_bytes());
        let (pieces, ends, hasher) = (&self.pieces, &self.ends, &self.hasher);
        let piece_of = |number: u32| piece_of(pieces, ends, number).unwrap_or_default();
        let equal = |other: &u32| piece_of(*other) == piece;
        if let Some(other) = self.numbers.find_mut(hash, equal) {
            // Of two equal pieces the last counts, as in the library.
            *other = number;
            return;
        }
        let hash_of = |other: &u32| hasher.hash_one(piece_of(*other).as_bytes());
        self.numbers.insert_unique(hash, number, hash_of);
    }

    fn number(&self, piece: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(piece.as_bytes());
        let equal = |number: &u32| self.piece(*number) == Some(piece);
        self.numbers.find(hash, equal).copied()
    }

    fn piece(&self, number: u32) -> Option<&str> {
        piece_of(&self.pieces, &self.ends, number)
    }
}

fn piece_of<'a>(pieces: &'a str, ends: &[u32], number: u32) -> Option<&'a str> {
    let number = number as usize;
    let end = *ends.get(number)? as usize;
    let start = number
        .checked_sub(1)
        .map_or(0, |before| ends[before] as usize);
    pieces.get(start..end)
}

/// The best way to split the text up to a position.
#[derive(Clone, Copy)]
struct Best {
    score: f64,
    start: usize,
    number: u32,
}

impl Unigram {
    /// `None` if the vocabulary lacks the piece for unknown characters, or has very long pieces.
    fn new(vocabulary: Vocabulary, unknown: Option<u32>) -> Option<Self> {
        if vocabulary.longest > LONGEST_PIECE {
            return None;
        }
        let unknown = unknown.filter(|unknown| (*unknown as usize) < vocabulary.ends.len())?;
        let least = vocabulary
            .scores
            .iter()
            .copied()
            .fold(f64::INFINITY, f64::min);
        Some(Self {
            vocabulary,
            unknown,
            unknown_score: least - UNKNOWN_PENALTY,
        })
    }

    /// Splits a text into the pieces with the highest sum of scores, by dynamic programming over its
    /// positions. Neighbouring unknown characters become one token.
    fn split(&self, text: &str) -> Vec<Token> {
        let mut best: Vec<Option<Best>> = vec![None; text.len() + 1];
        for (start, letter) in text.char_indices() {
            let before = best[start].map_or(0.0, |best| best.score);
            let rest = &text[start..];
            let mut letter_is_piece = false;
            for (at, last) in rest.char_indices() {
                let length = at + last.len_utf8();
                if length > self.vocabulary.longest {
                    break;
                }
                if let Some(number) = self.vocabulary.number(&rest[..length]) {
                    let score = before + self.vocabulary.scores[number as usize];
                    improve(
                        &mut best[start + length],
                        Best {
                            score,
                            start,
                            number,
                        },
                    );
                    letter_is_piece |= length == letter.len_utf8();
                }
            }
            if !letter_is_piece {
                let unknown = Best {
                    score: before + self.unknown_score,
                    start,
                    number: self.unknown,
                };
                improve(&mut best[start + letter.len_utf8()], unknown);
            }
        }
        self.tokens(text, &best)
    }

    /// Follows the best pieces back from the end of the text.
    fn tokens(&self, text: &str, best: &[Option<Best>]) -> Vec<Token> {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        let mut end = text.len();
        let mut follows_unknown = false;
        while let Some(piece) = best[end] {
            let is_unknown = piece.number == self.unknown;
            match ranges.last_mut() {
                Some(range) if is_unknown && follows_unknown => range.0 = piece.start,
                _ => ranges.push((piece.start, end)),
            }
            follows_unknown = is_unknown;
            end = piece.start;
        }
        let token = |(start, end): (usize, usize)| {
            let value = &text[start..end];
            let id = self.vocabulary.number(value).unwrap_or(self.unknown);
            Token::new(id, value.to_owned(), (start, end))
        };
        ranges.into_iter().rev().map(token).collect()
    }
}

fn improve(place: &mut Option<Best>, candidate: Best) {
    if place.is_none_or(|known| candidate.score > known.score) {
        *place = Some(candidate);
    }
}

impl SubwordModel {
    /// All pieces.
    pub fn pieces(&self) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        match self {
            Self::Unigram(unigram) => {
                let numbers = 0..unigram.vocabulary.ends.len() as u32;
                let pieces = numbers.filter_map(|number| unigram.vocabulary.piece(number));
                Box::new(pieces.map(Cow::Borrowed))
            }
            Self::Library(model) => Box::new(model.get_vocab().into_keys().map(Cow::Owned)),
        }
    }

    /// The number of the piece for unknown characters, whose tokens have the text's own letters.
    pub fn unknown(&self) -> Option<u32> {
        match self {
            Self::Unigram(unigram) => Some(unigram.unknown),
            Self::Library(_) => None,
        }
    }
}

impl Model for SubwordModel {
    type Trainer = UnigramTrainer;

    fn tokenize(&self, text: &str) -> Result<Vec<Token>> {
        match self {
            Self::Unigram(unigram) => Ok(unigram.split(text)),
            Self::Library(model) => model.tokenize(text),
        }
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        match self {
            Self::Unigram(unigram) => unigram.vocabulary.number(token),
            Self::Library(model) => model.token_to_id(token),
        }
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        match self {
            Self::Unigram(unigram) => unigram.vocabulary.piece(id).map(str::to_owned),
            Self::Library(model) => model.id_to_token(id),
        }
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        match self {
            Self::Unigram(unigram) => {
                let numbers = 0..unigram.vocabulary.ends.len() as u32;
                let named = numbers.filter_map(|id| Some((self.id_to_token(id)?, id)));
                named.collect()
            }
            Self::Library(model) => model.get_vocab(),
        }
    }

    fn get_vocab_size(&self) -> usize {
        match self {
            Self::Unigram(unigram) => unigram.vocabulary.ends.len(),
            Self::Library(model) => model.get_vocab_size(),
        }
    }

    fn save(&self, _: &Path, _: Option<&str>) -> Result<Vec<PathBuf>> {
        Err("a loaded tokenizer is not written".into())
    }

    fn get_trainer(&self) -> UnigramTrainer {
        UnigramTrainer::default()
    }
}

impl<'de> Deserialize<'de> for SubwordModel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Kind<'a> {
            #[serde(borrow, rename = "type")]
            name: Option<Cow<'a, str>>,
            byte_fallback: Option<bool>,
        }
        #[derive(Deserialize)]
        struct Parts {
            vocab: Vocabulary,
            unk_id: Option<u32>,
        }
        let json = <&RawValue>::deserialize(deserializer)?.get();
        let kind: Kind<'_> = serde_json::from_str(json).map_err(D::Error::custom)?;
        if kind.name.as_deref() == Some("Unigram") && kind.byte_fallback != Some(true) {
            let parts: Parts = serde_json::from_str(json).map_err(D::Error::custom)?;
            if let Some(unigram) = Unigram::new(parts.vocab, parts.unk_id) {
                return Ok(Self::Unigram(unigram));
            }
        }
        serde_json::from_str(json)
            .map(|model| Self::Library(Box::new(model)))
            .map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Pieces;

        impl<'de> Visitor<'de> for Pieces {
            type Value = Vocabulary;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of pieces with their scores")
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut pieces: A,
            ) -> std::result::Result<Vocabulary, A::Error> {
                #[derive(Deserialize)]
                struct Piece<'a>(#[serde(borrow)] Cow<'a, str>, f64);
                let mut vocabulary = Vocabulary::default();
                while let Some(Piece(piece, score)) = pieces.next_element()? {
                    let bytes = vocabulary.pieces.len() + piece.len();
                    if u32::try_from(bytes).is_err() {
                        return Err(A::Error::custom("the pieces have more than 4 GB"));
                    }
                    vocabulary.push(&piece, score);
                }
                Ok(vocabulary)
            }
        }

        deserializer.deserialize_seq(Pieces)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::models::unigram::Unigram as Reference;

    use super::*;

    fn pieces() -> Vec<(String, f64)> {
        let scored = [
            ("<unk>", 0.0),
            ("a", -1.0),
            ("b", -1.5),
            ("ab", -1.2),
            ("abc", -4.0),
            ("c", -2.0),
            ("é", -3.0),
            ("狗", -2.5),
            ("小狗", -2.0),
            ("ba", -2.5),
            ("\u{2581}", -1.0),
            ("\u{2581}a", -1.1),
        ];
        scored
            .map(|(piece, score)| (piece.to_owned(), score))
            .to_vec()
    }

    fn both() -> (SubwordModel, Reference) {
        let json = serde_json::json!({ "type": "Unigram", "unk_id": 0, "vocab": pieces() });
        let model: SubwordModel = serde_json::from_str(&json.to_string()).unwrap();
        assert!(matches!(model, SubwordModel::Unigram(_)));
        (model, Reference::from(pieces(), Some(0), false).unwrap())
    }

    proptest! {
        /// Of two ways with the same score either may win, so scores are unlike.
        #[test]
        fn texts_are_split_as_by_the_library(text in "[abcxé狗小\u{2581}]{0,24}") {
            let (model, reference) = both();
            let (found, wanted) = (model.tokenize(&text).unwrap(), reference.tokenize(&text).unwrap());
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn pieces_have_the_numbers_of_the_library() {
        let (model, reference) = both();
        assert_eq!(model.get_vocab(), reference.get_vocab());
        assert_eq!(model.get_vocab_size(), 12);
        assert_eq!(model.id_to_token(8).as_deref(), Some("小狗"));
        assert_eq!(
            (model.id_to_token(12), model.token_to_id("xyz")),
            (None, None)
        );
    }

    #[test]
    fn a_vocabulary_without_unknown_or_of_bytes_is_the_library_s() {
        for (unknown, of_bytes) in [(None, false), (Some(0), true)] {
            let json = serde_json::json!({
                "type": "Unigram", "unk_id": unknown, "vocab": pieces(), "byte_fallback": of_bytes,
            });
            let model: SubwordModel = serde_json::from_str(&json.to_string()).unwrap();
            assert!(matches!(model, SubwordModel::Library(_)));
        }
    }

    #[test]
    fn very_long_pieces_are_the_library_s() {
        let long = "a".repeat(LONGEST_PIECE + 1);
        let json = serde_json::json!({
            "type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], [long, -1.0]], "byte_fallback": null,
        });
        // The library does not accept null here.
        assert!(serde_json::from_str::<SubwordModel>(&json.to_string()).is_err());
        let json = json.to_string().replace("null", "false");
        let model: SubwordModel = serde_json::from_str(&json).unwrap();
        assert!(matches!(model, SubwordModel::Library(_)));
    }

    #[test]
    fn an_invalid_vocabulary_is_an_error() {
        for vocabulary in ["7", "[7]", "[[\"a\"]]", "[[\"a\", \"b\"]]"] {
            let json = format!("{{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":{vocabulary}}}");
            assert!(
                serde_json::from_str::<SubwordModel>(&json).is_err(),
                "{vocabulary}"
            );
        }
    }
}
