//! A text that a model cannot read at once, as passages that it can.
//!
//! A passage is as many whole sentences (Unicode Standard Annex 29) as the context holds,
//! counted in the model's own tokens. It begins with the sentence that the one before it
//! ended with, unless that is long. A sentence that is too long by itself is halved between
//! words until its pieces fit.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::EmbedError;
use crate::tokens::{TextRole, TextTokens, Tokens};

/// The share of a passage that may be said again in the next one.
const OVERLAP: usize = 4;

/// Bytes that no token is longer than, but for a few: more of them than there is room for
/// are not counted before they are halved.
const LONG_TOKEN: usize = 24;

/// A stretch of a text, in bytes, and its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    pub range: Range<usize>,
    pub tokens: TextTokens,
}

/// What a text became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passages {
    /// At least one. A text that the model reads at once is one passage, the whole of it.
    pub passages: Vec<Passage>,
    /// The model reads every part of the text in some passage.
    pub complete: bool,
}

/// A piece of the text that stays in one passage.
#[derive(Debug, Clone)]
struct Unit {
    range: Range<usize>,
    tokens: usize,
}

impl Tokens {
    /// The text in passages, each behind what the model wants to read before a text of that
    /// role; the first `most` of them.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn passages(
        &self,
        text: &str,
        role: TextRole,
        most: usize,
    ) -> Result<Passages, EmbedError> {
        let whole = self.encode_as(text, role)?;
        let room = self.room(role)?.filter(|_| whole.truncated);
        let Some(room) = room else {
            return Ok(Passages {
                complete: !whole.truncated,
                passages: vec![Passage {
                    range: 0..text.len(),
                    tokens: whole,
                }],
            });
        };
        // Some tokenizers make more of a passage than of its sentences one by one: then a
        // little less of them is a passage.
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
            tokens: self,
            text,
            room,
            sentences: text.split_sentence_bound_indices(),
            waiting: Vec::new(),
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
            held = again(held, room, ahead);
        }
        Ok(Passages {
            passages,
            complete: true,
        })
    }

    /// `None` where there is nothing but space.
    fn passage(
        &self,
        text: &str,
        role: TextRole,
        units: &[Unit],
    ) -> Result<Option<Passage>, EmbedError> {
        let (Some(first), Some(last)) = (units.first(), units.last()) else {
            return Ok(None);
        };
        let whole = &text[first.range.start..last.range.end];
        let start = first.range.start + (whole.len() - whole.trim_start().len());
        let whole = whole.trim();
        if whole.is_empty() {
            return Ok(None);
        }
        Ok(Some(Passage {
            range: start..start + whole.len(),
            tokens: self.encode_as(whole, role)?,
        }))
    }
}

/// What of a passage the next one says again, when that begins with `ahead` more tokens.
fn again(mut held: Vec<Unit>, room: usize, ahead: usize) -> Vec<Unit> {
    match held.pop() {
        Some(last)
            if !held.is_empty() && last.tokens <= room / OVERLAP && last.tokens + ahead <= room =>
        {
            vec![last]
        }
        _ => Vec::new(),
    }
}

/// The sentences of a text, the long ones in pieces, one after the other.
struct Units<'a> {
    tokens: &'a Tokens,
    text: &'a str,
    room: usize,
    sentences: unicode_segmentation::USentenceBoundIndices<'a>,
    /// Pieces to look at before the next sentence, the first one last.
    waiting: Vec<Range<usize>>,
}

impl Units<'_> {
    fn next(&mut self) -> Result<Option<Unit>, EmbedError> {
        loop {
            let range = match self.waiting.pop() {
                Some(range) => range,
                None => match self.sentences.next() {
                    Some((start, sentence)) => start..start + sentence.len(),
                    None => return Ok(None),
                },
            };
            let halves = middle(&self.text[range.clone()]).map(|at| range.start + at);
            if let Some(at) = halves
                && range.len() > self.room.saturating_mul(LONG_TOKEN)
            {
                self.waiting.push(at..range.end);
                self.waiting.push(range.start..at);
                continue;
            }
            let tokens = self.tokens.count(&self.text[range.clone()])?;
            match halves {
                Some(at) if tokens > self.room => {
                    self.waiting.push(at..range.end);
                    self.waiting.push(range.start..at);
                }
                // A single character that is more than the room is cut as it always was.
                _ => return Ok(Some(Unit { range, tokens })),
            }
        }
    }
}

/// Where to halve: after the space nearest to the middle, else between two characters.
/// `None` for a single one.
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
    let parts_words = |at: &usize| !text[..*at].trim().is_empty() && !text[*at..].trim().is_empty();
    space
        .map(after_it)
        .filter(parts_words)
        .or(Some(half).filter(|at| *at > 0))
        .or_else(|| Some(after_it(0)).filter(|at| *at < text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_halved_between_words() {
        assert_eq!(middle("one two three"), Some(8));
        assert_eq!(middle("abcdef"), Some(3));
        assert_eq!(middle("é"), None);
        assert_eq!(middle("éé"), Some(2));
        assert_eq!(middle("a "), Some(1));
        assert_eq!(middle(""), None);
    }
}
