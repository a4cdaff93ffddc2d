//! Words of Thai, Lao, Burmese and Khmer, which have no spaces between words: ICU's dictionaries find
//! the longest words. A compound word is also found by the words in it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::LazyLock;

use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{WordSegmenter, WordSegmenterBorrowed};

use super::letters::is_mark;

/// Maximum number of words whose parts a thread remembers.
const MOST_REMEMBERED: usize = 8192;

/// Maximum length in bytes of a word that is split; no dictionary has longer words.
const LONGEST: usize = 128;

static DICTIONARIES: LazyLock<WordSegmenterBorrowed<'static>> =
    LazyLock::new(|| WordSegmenter::new_dictionary(WordBreakInvariantOptions::default()));

/// The ranges of other words in a word.
type Parts = Rc<[Range<usize>]>;

thread_local! {
    static REMEMBERED: RefCell<HashMap<Box<str>, Parts>> = RefCell::default();
}

/// The words of a run and the text between them.
pub(super) fn segments(run: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    DICTIONARIES
        .segment_str(run)
        .filter(|cut| *cut > 0)
        .map(move |cut| std::mem::replace(&mut start, cut)..cut)
}

/// The words in a compound word.
pub(super) fn inside(word: &str) -> Parts {
    if word.len() > LONGEST {
        return Rc::default();
    }
    if let Some(known) = REMEMBERED.with_borrow(|known| known.get(word).cloned()) {
        return known;
    }
    let mut found = Vec::new();
    add_parts(word, 0, &mut found);
    found.sort_unstable_by_key(|part| (part.start, part.end));
    found.dedup();
    let found: Parts = found.into();
    REMEMBERED.with_borrow_mut(|known| {
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(word.into(), Rc::clone(&found));
    });
    found
}

/// Adds both parts of every split of a word into two words, recursively.
fn add_parts(word: &str, offset: usize, found: &mut Vec<Range<usize>>) {
    for (at, c) in word.char_indices().skip(1) {
        if is_mark(c) {
            continue;
        }
        let (first, second) = word.split_at(at);
        let both = [(first, offset), (second, offset + at)];
        let words = both.iter().filter(|(part, _)| is_word(part)).count();
        let rests = both.iter().filter(|(part, _)| is_syllable(part)).count();
        if words == 0 || words + rests < 2 {
            continue;
        }
        for (part, from) in both {
            let stretch = from..from + part.len();
            if is_word(part) && !found.contains(&stretch) {
                found.push(stretch);
                add_parts(part, from, found);
            }
        }
    }
}

/// Whether a dictionary contains the word: it does if the word is split from a character after it.
fn is_word(part: &str) -> bool {
    let Some(after) = part.chars().next().and_then(follower) else {
        return false;
    };
    if !has_two_letters(part) {
        return false;
    }
    let followed = format!("{part}{after}");
    segments(&followed)
        .next()
        .is_some_and(|first| first.end >= part.len())
}

/// A character of the same script that begins no word and continues few.
fn follower(c: char) -> Option<char> {
    match c {
        '\u{e00}'..='\u{e7f}' => Some('\u{e46}'),
        '\u{e80}'..='\u{eff}' => Some('\u{ec6}'),
        '\u{1000}'..='\u{109f}' => Some('\u{1050}'),
        '\u{1780}'..='\u{17ff}' => Some('\u{17d7}'),
        _ => None,
    }
}

fn has_two_letters(part: &str) -> bool {
    part.chars().filter(|c| !is_mark(*c)).count() > 1
}

/// Whether it may be a word although no dictionary distinguishes it from a part of one: in scripts in
/// which a letter with its marks is a syllable.
fn is_syllable(part: &str) -> bool {
    part.starts_with(|c| matches!(c, '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'))
        && !part.starts_with(is_mark)
        && !has_two_letters(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_within_words() {
        for (word, parts) in [
            ("ກິນເຂົ້າ", &["ກິນ", "ເຂົ້າ"][..]),
            ("ភាសាខ្មែរ", &["ភាសា", "ខ្មែរ"]),
            ("មន្ទីរពេទ្យ", &["មន្ទីរ", "ពេទ្យ"]),
            ("ထမင်းစား", &["ထမင်း"]),
            ("မြန်မာဘာသာ", &["မြန်မာ", "ဘာသာ"]),
            ("โรงเรียน", &["โรง", "เรียน"]),
            ("ข้าว", &[]),
            ("วิทยาศาสตร์", &["วิทยา", "ศาสตร์"]),
        ] {
            let found: Vec<&str> = inside(word).iter().map(|at| &word[at.clone()]).collect();
            assert!(
                parts.iter().all(|part| found.contains(part)),
                "{word}: {found:?}"
            );
            assert!(!parts.is_empty() || found.len() <= 2, "{word}: {found:?}");
        }
    }
}
