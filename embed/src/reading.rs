//! How much of a text a model can read, judged by its tokenizer.
//!
//! A tokenizer has a token for each word, or each part of a word, that its model saw often in
//! training. Two things show that a model cannot read a text: the tokenizer has hardly any words of
//! the text's script, or it falls back to tokens of one or two letters.

use std::collections::{BTreeSet, HashMap};

use icu_properties::props::Script;
use icu_properties::{CodePointMapData, PropertyNamesLong};

/// How much of a text a model can read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The scripts of the text of which the tokenizer has hardly any words, by their Unicode names.
    pub unread_scripts: Vec<String>,
    /// Letters and digits of scripts that it reads for each token, at most [`Reading::FLUENT`], which
    /// most words reach; random letters have less than 2. A letter of a script whose words are
    /// shorter counts as more than one, and a text of symbols is fluent unless all its tokens are
    /// unknown.
    pub letters_per_token: f32,
}

impl Reading {
    /// The largest [`Reading::letters_per_token`].
    pub const FLUENT: f32 = 3.0;
}

/// A script has words in a vocabulary if it has this many tokens of two letters or more, or one in
/// [`SMALL`] of a small vocabulary. BERT's English vocabulary has 8 of Cyrillic and 2 of Arabic;
/// XLM-R's has more than 1,000 of each of 24 scripts.
const WORDS: usize = 100;

/// The same for ideographs, of which one is a word: BERT's English vocabulary has 488.
const IDEOGRAPHS: usize = 1000;

/// Divides the size of a small vocabulary.
const SMALL: usize = 300;

/// The scripts of which a vocabulary has words.
#[derive(Debug)]
pub(crate) struct KnownScripts {
    words: HashMap<Script, usize>,
    size: usize,
}

impl KnownScripts {
    /// Counts the tokens of a vocabulary by script. `is_by_bytes`: tokens are bytes in the notation of
    /// byte-level BPE.
    pub(crate) fn of(tokens: impl Iterator<Item = impl AsRef<str>>, is_by_bytes: bool) -> Self {
        let byte_of = bytes_of_letters();
        let mut words: HashMap<Script, usize> = HashMap::new();
        let mut size = 0;
        for token in tokens {
            let token = token.as_ref();
            size += 1;
            let decoded = is_by_bytes.then(|| {
                let token = token.trim_end_matches("</w>");
                let bytes: Option<Vec<u8>> = token
                    .chars()
                    .map(|letter| byte_of.get(&letter).copied())
                    .collect();
                bytes
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .unwrap_or_default()
            });
            let token = decoded.as_deref().unwrap_or(token);
            let mut letters = token
                .chars()
                .filter(|letter| letter.is_alphabetic())
                .map(script);
            let Some(first) = letters.next() else {
                continue;
            };
            if first == Script::Han || letters.next().is_some() {
                *words.entry(first).or_default() += 1;
            }
        }
        Self { words, size }
    }

    fn reads(&self, script: Script) -> bool {
        let (enough, share) = if script == Script::Han {
            (IDEOGRAPHS, SMALL / 10)
        } else {
            (WORDS, SMALL)
        };
        let count = self.words.get(&script).copied().unwrap_or(0);
        count >= enough.min(self.size / share).max(1)
    }

    /// The reading of a text with this many tokens, of which `unknown` stand for anything.
    pub(crate) fn reading(&self, text: &str, tokens: usize, unknown: usize) -> Reading {
        let mut unread = BTreeSet::new();
        let (mut letters, mut has_letters) = (0.0, false);
        for letter in text.chars().filter(|letter| letter.is_alphanumeric()) {
            has_letters = true;
            let script = script(letter);
            if letter.is_alphabetic() && is_written(script) && !self.reads(script) {
                unread.insert(name(script));
            } else {
                letters += weight(script);
            }
        }
        let fluent = if has_letters {
            (letters / tokens.max(1) as f32).min(Reading::FLUENT)
        } else if tokens > 0 && unknown == tokens {
            0.0
        } else {
            Reading::FLUENT
        };
        Reading {
            unread_scripts: unread.into_iter().collect(),
            letters_per_token: fluent,
        }
    }
}

fn script(letter: char) -> Script {
    CodePointMapData::<Script>::new().get(letter)
}

/// Whether letters of this script belong to it alone.
fn is_written(script: Script) -> bool {
    !matches!(script, Script::Common | Script::Inherited | Script::Unknown)
}

/// Letters of an alphabet that one letter of a script stands for.
fn weight(script: Script) -> f32 {
    match script {
        Script::Han => 3.0,
        Script::Hangul => 2.5,
        Script::Hiragana | Script::Katakana => 2.0,
        _ => 1.0,
    }
}

fn name(script: Script) -> String {
    PropertyNamesLong::<Script>::new()
        .get(script)
        .unwrap_or("another script")
        .to_owned()
}

/// The bytes behind the letters of byte-level BPE (Radford et al. 2019): printable bytes stand for
/// themselves, the others for letters from U+0100.
fn bytes_of_letters() -> HashMap<char, u8> {
    let mut next = 0x100;
    let letters = (0..=255u8).filter_map(|byte| {
        let is_itself = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        let code = if is_itself {
            u32::from(byte)
        } else {
            next += 1;
            next - 1
        };
        Some((char::from_u32(code)?, byte))
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vocabulary of English words, single Cyrillic letters and a few ideographs.
    fn english() -> KnownScripts {
        let words = (0..600).map(|number| {
            let letter = |at: u32| char::from(b'a' + (number / 26u32.pow(at) % 26) as u8);
            (0..3).map(letter).collect::<String>()
        });
        let letters = "собакаядом山日月".chars().map(String::from);
        let all: Vec<String> = words.chain(letters).collect();
        KnownScripts::of(all.iter().map(String::as_str), false)
    }

    #[test]
    fn a_script_without_words_is_not_read() {
        let known = english();
        let reading = known.reading("dog собака", 7, 0);
        assert_eq!(reading.unread_scripts, ["Cyrillic"]);
        assert!(reading.letters_per_token < 1.0);
        assert_eq!(known.reading("山", 1, 0).unread_scripts, ["Han"]);
        assert_eq!(known.reading("cafe 9", 2, 0).unread_scripts, [""; 0]);
    }

    #[test]
    fn words_have_more_letters_per_token_than_random_ones() {
        let known = english();
        assert_eq!(known.reading("umbrella", 1, 0).letters_per_token, 3.0);
        assert_eq!(known.reading("xqzvt", 5, 0).letters_per_token, 1.0);
    }

    #[test]
    fn symbols_are_read_unless_they_are_unknown() {
        let known = english();
        assert_eq!(known.reading("☂", 1, 0).letters_per_token, 3.0);
        assert_eq!(known.reading("☂", 1, 1).letters_per_token, 0.0);
        assert_eq!(known.reading("", 0, 0).letters_per_token, 3.0);
    }

    #[test]
    fn tokens_of_bytes_are_decoded() {
        // "жа" in UTF-8 is d0 b6 d0 b0, which are letters of Latin-1 in this notation.
        let tokens = vec!["\u{d0}\u{b6}\u{d0}\u{b0}</w>"; 100];
        let known = KnownScripts::of(tokens.into_iter(), true);
        assert!(known.reading("жажда", 2, 0).unread_scripts.is_empty());
        assert_eq!(known.reading("dog", 1, 0).unread_scripts, ["Latin"]);
    }
}
