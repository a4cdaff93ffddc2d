//! Normalises texts so that equal-looking texts are equal: composed characters (NFC), plain instead
//! of full-width and other compatible letters (NFKC), and no invisible characters such as soft
//! hyphens, joiners, direction marks and variation selectors.
//!
//! Symbols that are no letters stay unchanged ("™" does not become "TM"), and so do fractions and the
//! vowels that dictionaries of Thai and Lao contain as one character. Most texts are already in this
//! form and are only scanned.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;

use super::letters::{JOINER, ZERO_WIDTH_SPACE, is_mark};

/// A normalised text, with a mapping to positions of the original.
pub(super) struct Normal<'t> {
    text: Cow<'t, str>,
    /// Ordered; the text between them is unchanged.
    changes: Vec<Change>,
}

struct Change {
    normal: Range<usize>,
    original: Range<usize>,
}

impl<'t> Normal<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let mut changes = Vec::new();
        let mut normal = String::new();
        let mut copied = 0;
        while let Some(cluster) = irregular_cluster(text, copied) {
            normal.push_str(&text[copied..cluster.start]);
            let from = normal.len();
            rewrite(&text[cluster.clone()], &mut normal);
            copied = cluster.end;
            changes.push(Change {
                normal: from..normal.len(),
                original: cluster,
            });
        }
        if changes.is_empty() {
            return Self {
                text: Cow::Borrowed(text),
                changes,
            };
        }
        normal.push_str(&text[copied..]);
        Self {
            text: Cow::Owned(normal),
            changes,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The position in the original of a range of the normalised text.
    pub(super) fn original(&self, stretch: Range<usize>) -> Range<usize> {
        if self.changes.is_empty() {
            return stretch;
        }
        let start = {
            let before = |change: &Change| change.normal.start <= stretch.start;
            match self.last_that(before) {
                Some(change) if stretch.start < change.normal.end => change.original.start,
                Some(change) => change.original.end + (stretch.start - change.normal.end),
                None => stretch.start,
            }
        };
        let before = |change: &Change| change.normal.start < stretch.end;
        let end = match self.last_that(before) {
            Some(change) if stretch.end <= change.normal.end => change.original.end,
            Some(change) => change.original.end + (stretch.end - change.normal.end),
            None => stretch.end,
        };
        start..end
    }

    fn last_that(&self, before: impl FnMut(&Change) -> bool) -> Option<&Change> {
        let count = self.changes.partition_point(before);
        self.changes[..count].last()
    }
}

/// The next letter with its marks that is not normalised.
fn irregular_cluster(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = from;
    let mut start = from;
    while at < bytes.len() {
        if bytes[at] < 0x80 {
            start = at;
            at += 1;
            continue;
        }
        let c = text[at..].chars().next()?;
        let extends = extends(c);
        if !extends {
            start = at;
        }
        at += c.len_utf8();
        if is_irregular(c) {
            return Some(start..cluster_end(text, at));
        }
    }
    None
}

/// The position after the following marks; in Thai and Lao, after a vowel of two characters.
fn cluster_end(text: &str, from: usize) -> usize {
    let mut end = from;
    let mut last = text[..from].chars().next_back();
    for c in text[from..].chars() {
        let second_half = is_first_half(last, c) || (is_tone(last) && has_first_half(text, end, c));
        if !extends(c) && !second_half {
            break;
        }
        end += c.len_utf8();
        last = Some(c);
    }
    end
}

/// Whether `c` is the second half of "am" after `last`.
fn is_first_half(last: Option<char>, c: char) -> bool {
    matches!(
        (last, c),
        (Some('\u{e4d}'), '\u{e32}') | (Some('\u{ecd}'), '\u{eb2}')
    )
}

fn is_tone(last: Option<char>) -> bool {
    matches!(last, Some('\u{e48}'..='\u{e4b}' | '\u{ec8}'..='\u{ecb}'))
}

/// The same with a tone mark between the halves.
fn has_first_half(text: &str, end: usize, c: char) -> bool {
    is_first_half(text[..end].chars().rev().nth(1), c)
}

fn rewrite(cluster: &str, normal: &mut String) {
    let seen = || cluster.chars().filter(|c| !is_invisible(*c));
    let halves = seen().any(|c| matches!(c, '\u{e4d}' | '\u{ecd}'))
        && cluster.ends_with(['\u{e32}', '\u{eb2}']);
    if halves {
        normal.extend(seen().filter_map(|c| match c {
            '\u{e4d}' | '\u{ecd}' => None,
            '\u{e32}' => Some('\u{e33}'),
            '\u{eb2}' => Some('\u{eb3}'),
            c => Some(c),
        }));
    } else if seen().any(keeps_its_form) {
        normal.extend(seen());
    } else {
        normal.extend(NFKC.normalize_iter(seen()));
    }
}

const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfkc();

/// Whether it belongs to the preceding letter.
fn extends(c: char) -> bool {
    c >= '\u{300}'
        && (is_mark(c)
            || is_invisible(c)
            || matches!(c, '\u{1160}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7ff}' | '\u{ff9e}' | '\u{ff9f}'))
}

/// Whether normalisation may change a text because of this character.
fn is_irregular(c: char) -> bool {
    match u32::from(c) {
        // Letters with accents, punctuation, Chinese, Korean: most characters of texts.
        0..0xa0 | 0xc0..=0x131 | 0x2010..=0x2027 | 0x4e00..=0x9fff | 0xac00..=0xd7a3 => false,
        code @ 0..=0xffff => IRREGULAR[code as usize / 64] >> (code % 64) & 1 == 1,
        _ => may_change(c),
    }
}

/// Those of the first 65,536 characters that [`may_change`].
static IRREGULAR: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let mut bits = vec![0u64; 1024];
    for c in '\0'..='\u{ffff}' {
        if may_change(c) {
            bits[c as usize / 64] |= 1 << (c as u32 % 64);
        }
    }
    bits
});

fn may_change(c: char) -> bool {
    if is_invisible(c) || composes(c) {
        return true;
    }
    let of_words = c.is_alphanumeric() || is_mark(c) || is_wide(c);
    of_words && !keeps_its_form(c) && !NFKC.is_normalized(c.encode_utf8(&mut [0; 4]))
}

/// Full-width and small forms, and words and units in a single square.
fn is_wide(c: char) -> bool {
    matches!(c, '\u{ff00}'..='\u{ffef}' | '\u{fe50}'..='\u{fe6f}' | '\u{3200}'..='\u{33ff}')
}

fn keeps_its_form(c: char) -> bool {
    matches!(c, '\u{e33}' | '\u{eb3}' | '\u{edc}' | '\u{edd}' | '\u{bc}'..='\u{be}' | '\u{2150}'..='\u{215f}' | '\u{2189}')
}

/// Whether it is invisible. Joiners, zero-width spaces and the tags in flags of regions are kept for
/// word splitting.
fn is_invisible(c: char) -> bool {
    const SET: icu_properties::CodePointSetDataBorrowed<'static> =
        CodePointSetData::new::<DefaultIgnorableCodePoint>();
    c >= '\u{ad}'
        && !matches!(c, JOINER | ZERO_WIDTH_SPACE | '\u{e0020}'..='\u{e007f}')
        && SET.contains(c)
}

/// Whether it may compose with the preceding character (Unicode's NFC_QC=Maybe, and
/// the first half of Thai's and Lao's "am").
fn composes(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{304}' | '\u{306}'..='\u{30c}' | '\u{30f}' | '\u{311}' | '\u{313}'
        | '\u{314}' | '\u{31b}' | '\u{323}'..='\u{328}' | '\u{32d}' | '\u{32e}' | '\u{330}'
        | '\u{331}' | '\u{338}' | '\u{342}' | '\u{345}' | '\u{653}'..='\u{655}' | '\u{93c}'
        | '\u{9be}' | '\u{9d7}' | '\u{b3e}' | '\u{b56}' | '\u{b57}' | '\u{bbe}' | '\u{bd7}'
        | '\u{c56}' | '\u{cc2}' | '\u{cd5}' | '\u{cd6}' | '\u{d3e}' | '\u{d57}' | '\u{dca}'
        | '\u{dcf}' | '\u{ddf}' | '\u{e4d}' | '\u{ecd}' | '\u{102e}' | '\u{1161}'..='\u{1175}'
        | '\u{11a8}'..='\u{11c2}' | '\u{1b35}' | '\u{3099}' | '\u{309a}' | '\u{110ba}'
        | '\u{11127}' | '\u{1133e}' | '\u{11357}' | '\u{114b0}' | '\u{114ba}' | '\u{114bd}'
        | '\u{115af}' | '\u{11930}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> String {
        Normal::of(text).text().to_owned()
    }

    #[test]
    fn forms_become_one() {
        for (text, expected) in [
            ("plain", "plain"),
            ("re\u{301}sume\u{301}", "résumé"),
            ("ＡＢ－１２＃", "AB-12#"),
            ("ﬁne ﬂow", "fine flow"),
            ("ｶﾞｷﾞ", "ガギ"),
            ("か\u{3099}", "が"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
            (
                "Ge\u{ad}samt\u{2060}kon\u{feff}zept\u{200e}",
                "Gesamtkonzept",
            ),
            ("می\u{200c}خواهم", "میخواهم"),
            ("葛\u{e0100}城", "葛城"),
            ("5㎏ ㈱", "5kg (株)"),
            ("𝐁old m²", "Bold m2"),
            ("Foo™ 25℃ ½ 2½", "Foo™ 25℃ ½ 2½"),
            (
                "น้ำ น\u{e49}\u{e4d}\u{e32} น\u{e4d}\u{e49}\u{e32} ทํา",
                "น้ำ น้ำ น้ำ ทำ",
            ),
            ("किताब क\u{93c}", "किताब क\u{93c}"),
        ] {
            assert_eq!(normal(text), expected, "{text}");
            assert_eq!(normal(&normal(text)), normal(text), "{text}");
        }
    }

    #[test]
    fn the_way_back_leads_to_whole_letters() {
        let text = "a\u{ad}b re\u{301}s ﬁx\u{2060} end";
        let normal = Normal::of(text);
        assert_eq!(normal.text(), "ab rés fix end");
        let back = |word: &str| {
            let at = normal.text().find(word).unwrap();
            &text[normal.original(at..at + word.len())]
        };
        assert_eq!(back("ab"), "a\u{ad}b");
        assert_eq!(back("rés"), "re\u{301}s");
        assert_eq!(back("é"), "e\u{301}");
        assert_eq!(back("fix"), "ﬁx\u{2060}");
        assert_eq!(back("f"), "ﬁ");
        assert_eq!(back("end"), "end");
    }
}
