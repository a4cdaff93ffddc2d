//! Splits a text into words in lower case, before accents and endings are removed.
//!
//! A word is a run of letters and digits. An apostrophe inside it is dropped ("don't" is `dont`), and
//! so is a possessive ending ("Elizabeth's" is `Elizabeth`). In French and Italian an elided article
//! is a separate word ("l'homme" is `l`, `homme`). Each Chinese, Japanese or Korean character is a
//! word, since no spaces separate words; words of Thai, Lao, Burmese and Khmer are found by ICU's
//! dictionaries. An emoji sequence is a word.
//!
//! Some words have variants, which are further tokens at the same position. Their position length is
//! 0, or the number of words that they join:
//! - words with a sign in front or behind: `.net`, `#tag`, `@name`, `notepad++`, `disney+`. A single
//!   letter with a sign is only that word and not the letter: `c++`, `c#`, `a+`;
//! - words of Thai, Lao, Burmese and Khmer within longer words;
//! - parts that are also written as one word: "e-mail" is `e`, `mail` and `email`, "1,234" is `1`,
//!   `234` and `1234`. Such a word spans the positions of its parts.

use std::collections::VecDeque;
use std::ops::Range;

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use super::analyzer::Analyzer;
use super::dictionary;
use super::letters::{
    JOINER, ZERO_WIDTH_SPACE, has_no_spaces, is_apostrophe, is_emoji, is_gershayim, is_hebrew,
    is_hyphen, is_ideograph, is_modifier, is_regional, is_tag, is_word_letter, push_folded,
};
use super::normal::Normal;

/// Maximum number of parts of a joined word.
const MOST_PARTS: usize = 8;

/// Maximum length of a joined word in bytes.
const LONGEST_JOINED: usize = 64;

const FRENCH_ELISIONS: &[&str] = &[
    "l", "d", "j", "m", "t", "s", "n", "c", "qu", "jusqu", "lorsqu", "puisqu", "quoiqu",
];

const ITALIAN_ELISIONS: &[&str] = &[
    "l", "un", "d", "c", "v", "m", "t", "s", "n", "all", "dall", "dell", "nell", "sull", "coll",
    "quell", "quest", "sant", "bell",
];

/// The `position_length` of a variant or a part of the preceding word.
const NO_POSITION: usize = 0;

/// Splits a text into words.
#[derive(Clone)]
pub(super) struct WordTokenizer {
    language: Analyzer,
    token: Token,
}

pub(super) struct WordStream<'a> {
    text: Normal<'a>,
    cutter: Cutter,
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
            text: Normal::of(text),
            cutter: Cutter::new(self.language),
            token: &mut self.token,
        }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        if !self.cutter.next(self.text.text(), self.token) {
            return false;
        }
        let original = self
            .text
            .original(self.token.offset_from..self.token.offset_to);
        self.token.offset_from = original.start;
        self.token.offset_to = original.end;
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

/// Splits a normalised text from its beginning. All calls must pass the same text.
pub(super) struct Cutter {
    language: Analyzer,
    /// The first byte of the remaining text.
    at: usize,
    /// The position of the next word.
    position: usize,
    /// Words that were found together with the preceding one.
    waiting: VecDeque<Token>,
}

/// The character between two parts of a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joint {
    Hyphen,
    /// The separator of thousands.
    Comma,
}

impl Cutter {
    pub(super) fn new(language: Analyzer) -> Self {
        Self {
            language,
            at: 0,
            position: 0,
            waiting: VecDeque::new(),
        }
    }

    /// The position of the word after the last one.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Writes the next word to `token`; returns whether there is one.
    pub(super) fn next(&mut self, text: &str, token: &mut Token) -> bool {
        if let Some(waiting) = self.waiting.pop_front() {
            *token = waiting;
            return true;
        }
        while let Some(c) = text[self.at..].chars().next() {
            if is_plain_letter(c) {
                self.take(text, token);
                return true;
            }
            if c.is_ascii() {
                self.at += 1;
            } else if has_no_spaces(c) {
                self.segment(text);
                if let Some(first) = self.waiting.pop_front() {
                    *token = first;
                    return true;
                }
            } else if is_ideograph(c) && c.is_alphanumeric() {
                let end = self.at + c.len_utf8();
                token.text.clear();
                token.text.push(c);
                self.place(token, self.at..end);
                self.at = end;
                return true;
            } else if is_emoji(c) {
                self.take_emoji(text, token);
                return true;
            } else {
                self.at += c.len_utf8();
            }
        }
        false
    }

    /// Sets the position of a word and counts it.
    fn place(&mut self, token: &mut Token, stretch: Range<usize>) {
        token.offset_from = stretch.start;
        token.offset_to = stretch.end;
        token.position = self.position;
        token.position_length = 1;
        self.position += 1;
    }

    /// Reads a word with its signs and, if it has several parts, all of them.
    fn take(&mut self, text: &str, token: &mut Token) {
        self.take_part(text, token);
        let Some((joint, mut next)) = self.joint(text, &token.text) else {
            return;
        };
        let mut joined = token.clone();
        let signed = std::mem::take(&mut self.waiting);
        let mut parts = Vec::new();
        loop {
            self.at = next;
            let mut part = Token::default();
            self.take_part(text, &mut part);
            joined.text.push_str(&part.text);
            joined.offset_to = part.offset_to;
            joined.position_length += 1;
            let next_joint = self.joint(text, &part.text);
            parts.push(part);
            parts.extend(std::mem::take(&mut self.waiting));
            match next_joint {
                Some((same, after)) if same == joint && joined.position_length <= MOST_PARTS => {
                    next = after;
                }
                _ => break,
            }
        }
        let is_one = joined.position_length <= MOST_PARTS
            && joined.text.len() <= LONGEST_JOINED
            && (joint == Joint::Comma || !joined.text.bytes().all(|byte| byte.is_ascii_digit()));
        self.waiting.extend(signed);
        if is_one {
            self.waiting.push_back(joined);
        }
        self.waiting.extend(parts);
    }

    /// The joint after the current word, and the first byte of the next part.
    fn joint(&self, text: &str, word: &str) -> Option<(Joint, usize)> {
        let rest = &text[self.at..];
        let c = rest.chars().next()?;
        if is_hyphen(c) {
            let next = self.at + c.len_utf8();
            return text[next..]
                .starts_with(is_plain_letter)
                .then_some((Joint::Hyphen, next));
        }
        let thousands = c == ','
            && word.len() <= 3
            && rest.len() > 3
            && word.bytes().all(|byte| byte.is_ascii_digit())
            && rest.as_bytes()[1..4].iter().all(u8::is_ascii_digit)
            && !rest[4..].starts_with(is_word_letter);
        thousands.then_some((Joint::Comma, self.at + 1))
    }

    /// Reads one run of letters, and adds its variant with a sign to `waiting`.
    fn take_part(&mut self, text: &str, token: &mut Token) {
        let start = self.at;
        token.text.clear();
        self.take_letters(text, &mut token.text);
        let end = self.at;
        self.place(token, start..end);
        let before = leading_sign(text, start);
        let after = trailing_sign(text, end, &token.text);
        if before.is_none() && after.is_none() {
            return;
        }
        let mut signed = token.clone();
        if let Some(sign) = after {
            signed.text.push_str(sign);
            signed.offset_to += text[end..]
                .chars()
                .take(sign.len())
                .map(char::len_utf8)
                .sum::<usize>();
            self.at = signed.offset_to;
            if is_one_letter(&token.text) {
                *token = signed;
                return;
            }
        }
        if let Some(sign) = before {
            signed.text.insert(0, sign);
            signed.offset_from -= 1;
        }
        signed.position_length = NO_POSITION;
        self.waiting.push_back(signed);
    }

    fn take_letters(&mut self, text: &str, word: &mut String) {
        let bytes = text.as_bytes();
        loop {
            while self.at < bytes.len() && bytes[self.at].is_ascii_alphanumeric() {
                push_folded(char::from(bytes[self.at]), self.language, word);
                self.at += 1;
            }
            let mut rest = text[self.at..].chars();
            let Some(c) = rest.next() else { return };
            if c == ' ' {
                return;
            }
            let after = rest.next();
            if is_apostrophe(c) {
                if !after.is_some_and(is_word_letter) || self.is_elided(word) {
                    return;
                }
                self.at += c.len_utf8();
                if matches!(after, Some('s' | 'S')) && !rest.next().is_some_and(is_word_letter) {
                    self.at += 1;
                    return;
                }
            } else if is_word_letter(c) {
                push_folded(c, self.language, word);
                self.at += c.len_utf8();
            } else if is_ignored(c, text[..self.at].chars().next_back(), after) {
                self.at += c.len_utf8();
            } else {
                return;
            }
        }
    }

    /// Whether the word is an elided one before the next word: "l'homme".
    fn is_elided(&self, word: &str) -> bool {
        match self.language {
            Analyzer::French => FRENCH_ELISIONS.contains(&word),
            Analyzer::Italian => ITALIAN_ELISIONS.contains(&word),
            _ => false,
        }
    }

    /// Adds the words of a run without spaces to `waiting`.
    fn segment(&mut self, text: &str) {
        let run = &text[self.at..];
        let end = run
            .find(|c| !has_no_spaces(c) && c != JOINER)
            .unwrap_or(run.len());
        for word in dictionary::segments(&run[..end]) {
            let segment = &run[word.clone()];
            if !segment.contains(char::is_alphanumeric) {
                continue;
            }
            let from = self.at + word.start;
            let mut token = self.folded(segment);
            self.place(&mut token, from..from + segment.len());
            let position = token.position;
            self.waiting.push_back(token);
            for part in dictionary::inside(segment).iter() {
                self.waiting.push_back(Token {
                    offset_from: from + part.start,
                    offset_to: from + part.end,
                    position,
                    position_length: NO_POSITION,
                    ..self.folded(&segment[part.clone()])
                });
            }
        }
        self.at += end;
    }

    fn folded(&self, word: &str) -> Token {
        let mut token = Token::default();
        for c in word.chars() {
            push_folded(c, self.language, &mut token.text);
        }
        token
    }

    /// Reads an emoji sequence. Its variant with skin tones is another word at the same position.
    fn take_emoji(&mut self, text: &str, token: &mut Token) {
        let start = self.at;
        let mut rest = text[start..].chars().peekable();
        let mut toned = String::new();
        token.text.clear();
        let mut push = |c: char, word: &mut String| {
            toned.push(c);
            if !is_modifier(c) {
                word.push(c);
            }
        };
        if let Some(first) = rest.next() {
            push(first, &mut token.text);
            if is_regional(first) {
                if let Some(second) = rest.next_if(|c| is_regional(*c)) {
                    push(second, &mut token.text);
                }
            } else {
                while let Some(c) = rest.next_if(|c| is_modifier(*c) || is_tag(*c) || *c == JOINER)
                {
                    if c != JOINER {
                        push(c, &mut token.text);
                    } else if let Some(joined) = rest.next_if(|c| is_emoji(*c)) {
                        push(c, &mut token.text);
                        push(joined, &mut token.text);
                    }
                }
            }
        }
        if token.text.is_empty() {
            // A skin tone without an emoji.
            token.text.push_str(&toned);
        }
        let rest: usize = rest.map(char::len_utf8).sum();
        self.at = text.len() - rest;
        self.place(token, start..self.at);
        if toned != token.text {
            self.waiting.push_back(Token {
                text: toned,
                position_length: NO_POSITION,
                ..token.clone()
            });
        }
    }
}

/// A character that may begin a word.
fn is_plain_letter(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    c.is_alphanumeric() && is_word_letter(c)
}

fn is_one_letter(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none()
}

/// The sign of `#tag`, `@name`, `.net`, if no other word is in front of it.
fn leading_sign(text: &str, start: usize) -> Option<char> {
    let sign = char::from(*text.as_bytes().get(start.checked_sub(1)?)?);
    if !matches!(sign, '#' | '@' | '.') {
        return None;
    }
    let begins = |c: char| {
        !is_word_letter(c) && !is_ideograph(c) && !matches!(c, '#' | '@' | '.' | '/' | '*')
    };
    let alone = text[..start - 1].chars().next_back().is_none_or(begins);
    let fits = sign != '.' || text[start..].starts_with(char::is_alphabetic);
    (alone && fits).then_some(sign)
}

/// The sign of `c++`, `c#`, `disney+`.
fn trailing_sign(text: &str, end: usize, word: &str) -> Option<&'static str> {
    let rest = &text[end..];
    let behind = |sign: &str| rest.strip_prefix(sign);
    match rest.as_bytes().first()? {
        b'+' => {
            if let Some(after) = behind("++") {
                let of_letter = word.ends_with(char::is_alphabetic);
                return (of_letter && !after.starts_with('+')).then_some("++");
            }
            let after = behind("+")?;
            (!after.starts_with(is_word_letter)).then_some("+")
        }
        b'#' | 0xe2 if is_one_letter(word) => {
            let after = behind("#").or_else(|| behind("♯"))?;
            (!after.starts_with(char::is_alphabetic)).then_some("#")
        }
        _ => None,
    }
}

/// Whether a character inside a word is ignored: a joiner, the quotes of a Hebrew abbreviation, the
/// dot of the Catalan "l·l".
fn is_ignored(c: char, before: Option<char>, after: Option<char>) -> bool {
    match c {
        JOINER | ZERO_WIDTH_SPACE => after.is_some_and(is_word_letter),
        '·' => matches!((before, after), (Some('l' | 'L'), Some('l' | 'L'))),
        c if is_gershayim(c) => before.is_some_and(is_hebrew) && after.is_some_and(is_hebrew),
        _ => false,
    }
}
