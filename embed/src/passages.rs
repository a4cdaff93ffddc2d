//! Splitting a text that exceeds a model's context into passages.
//!
//! A passage consists of as many complete sentences (Unicode Standard Annex 29) as fit the context,
//! measured in the model's tokens. It starts with the last sentence of the previous passage, unless
//! that is long. A sentence that exceeds the context is halved between words until its pieces fit.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::EmbedError;
use crate::tokens::{TextRole, TextTokenizer, TextTokens};

/// The next passage may repeat one part in this many of a passage.
const OVERLAP: usize = 4;

/// Very few tokens are longer than this, in bytes. A piece that exceeds the context on this estimate
/// is halved without counting its tokens.
const LONG_TOKEN: usize = 24;

/// A range of a text and its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// In bytes of the text.
    pub range: Range<usize>,
    /// The tokens, with the prompt of the text's role.
    pub tokens: TextTokens,
}

/// A text split into passages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passages {
    /// At least one. A text that fits the context is a single passage.
    pub passages: Vec<Passage>,
    /// The passages cover the complete text.
    pub complete: bool,
}

/// A piece of the text that is not split.
#[derive(Debug, Clone)]
struct Unit {
    range: Range<usize>,
    tokens: usize,
}

impl TextTokenizer {
    /// Splits a text into passages, each tokenized with the prompt of the role. Returns at most `most`
    /// passages.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn passages(
        &self,
        text: &str,
        role: TextRole,
        most: usize,
    ) -> Result<Passages, EmbedError> {
        let complete = self.encode_as(text, role)?;
        let room = self.room(role)?.filter(|_| complete.truncated);
        let Some(room) = room else {
            return Ok(Passages {
                complete: !complete.truncated,
                passages: vec![Passage {
                    range: 0..text.len(),
                    tokens: complete,
                }],
            });
        };
        // With some tokenizers a passage has more tokens than its sentences in total. Retry with
        // less room then.
        let mut passages = Passages {
            passages: Vec::new(),
            complete: false,
        };
        for room in [room, room - room / 8, room - room / 4] {
            passages = self.passages_within(text, role, most, room)?;
            if passages.passages.iter().all(|one| !one.tokens.truncated) {
                break;
            }
            passages.complete = false;
        }
        Ok(passages)
    }

    fn passages_within(
        &self,
        text: &str,
        role: TextRole,
        most: usize,
        room: usize,
    ) -> Result<Passages, EmbedError> {
        let mut passages = Vec::new();
        let mut units = Units {
            tokenizer: self,
            text,
            room,
            sentences: text.split_sentence_bound_indices(),
            pending: Vec::new(),
        };
        let mut held: Vec<Unit> = Vec::new();
        let mut next = units.next()?;
        while let Some(unit) = next {
            let full: usize = held.iter().map(|unit| unit.tokens).sum();
            if full + unit.tokens <= room || held.is_empty() {
                held.push(unit);
                next = units.next()?;
                if next.is_some() {
                    continue;
                }
            } else {
                next = Some(unit);
            }
            passages.extend(self.passage(text, role, &held)?);
            if next.is_some() && passages.len() >= most {
                return Ok(Passages {
                    passages,
                    complete: false,
                });
            }
            let ahead = next.as_ref().map_or(0, |unit| unit.tokens);
            held = overlap(held, room, ahead);
        }
        Ok(Passages {
            passages,
            complete: true,
        })
    }

    /// `None` if there is only white space.
    fn passage(
        &self,
        text: &str,
        role: TextRole,
        units: &[Unit],
    ) -> Result<Option<Passage>, EmbedError> {
        let (Some(first), Some(last)) = (units.first(), units.last()) else {
            return Ok(None);
        };
        let part = &text[first.range.start..last.range.end];
        let start = first.range.start + (part.len() - part.trim_start().len());
        let part = part.trim();
        if part.is_empty() {
            return Ok(None);
        }
        Ok(Some(Passage {
            range: start..start + part.len(),
            tokens: self.encode_as(part, role)?,
        }))
    }
}

/// The units of a passage that the next one repeats, if the next unit has `ahead` tokens.
fn overlap(mut held: Vec<Unit>, room: usize, ahead: usize) -> Vec<Unit> {
    match held.pop() {
        Some(last)
            if !held.is_empty() && last.tokens <= room / OVERLAP && last.tokens + ahead <= room =>
        {
            vec![last]
        }
        _ => Vec::new(),
    }
}

/// Iterates over the sentences of a text, and over the pieces of long ones.
struct Units<'a> {
    tokenizer: &'a TextTokenizer,
    text: &'a str,
    room: usize,
    sentences: unicode_segmentation::USentenceBoundIndices<'a>,
    /// Pieces to process before the next sentence, as a stack.
    pending: Vec<Range<usize>>,
}

impl Units<'_> {
    fn next(&mut self) -> Result<Option<Unit>, EmbedError> {
        loop {
            let range = match self.pending.pop() {
                Some(range) => range,
                None => match self.sentences.next() {
                    Some((start, sentence)) => start..start + sentence.len(),
                    None => return Ok(None),
                },
            };
            let split = middle(&self.text[range.clone()]).map(|at| range.start + at);
            if let Some(at) = split
                && range.len() > self.room.saturating_mul(LONG_TOKEN)
            {
                self.pending.push(at..range.end);
                self.pending.push(range.start..at);
                continue;
            }
            let tokens = self.tokenizer.count(&self.text[range.clone()])?;
            match split {
                Some(at) if tokens > self.room => {
                    self.pending.push(at..range.end);
                    self.pending.push(range.start..at);
                }
                // A single character that exceeds the room is truncated.
                _ => return Ok(Some(Unit { range, tokens })),
            }
        }
    }
}

/// The position to halve a text at: after the white space nearest to the middle, or else between two
/// characters. `None` for a single character.
fn middle(text: &str) -> Option<usize> {
    let half = (0..=text.len() / 2)
        .rev()
        .find(|at| text.is_char_boundary(*at))?;
    let before = text[..half].rfind(char::is_whitespace);
    let after = text[half..].find(char::is_whitespace).map(|at| half + at);
    let space = match (before, after) {
        (Some(before), Some(after)) if half - before <= after - half => Some(before),
        (before, after) => after.or(before),
    };
    let after_it = |at: usize| at + text[at..].chars().next().map_or(0, char::len_utf8);
    let separates_words =
        |at: &usize| !text[..*at].trim().is_empty() && !text[*at..].trim().is_empty();
    space
        .map(after_it)
        .filter(separates_words)
        .or(Some(half).filter(|at| *at > 0))
        .or_else(|| Some(after_it(0)).filter(|at| *at < text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_halved_between_words() {
        assert_eq!(middle("one two three"), Some(8));
        assert_eq!(middle("abcdef"), Some(3));
        assert_eq!(middle("é"), None);
        assert_eq!(middle("éé"), Some(2));
        assert_eq!(middle("a "), Some(1));
        assert_eq!(middle(""), None);
    }
}
