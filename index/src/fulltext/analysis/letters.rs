//! Classes of characters, and letters with several spellings.

use icu_properties::props::{ExtendedPictographic, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{
    CodePointMapData, CodePointMapDataBorrowed, CodePointSetData, CodePointSetDataBorrowed,
};

use super::analyzer::Analyzer;

/// Joins emoji; ignored elsewhere when words are split.
pub(super) const JOINER: char = '\u{200d}';

/// Separates words of scripts without spaces; ignored within other words.
pub(super) const ZERO_WIDTH_SPACE: char = '\u{200b}';

const CATEGORIES: CodePointMapDataBorrowed<'static, GeneralCategory> =
    CodePointMapData::<GeneralCategory>::new();

const PICTOGRAPHS: CodePointSetDataBorrowed<'static> =
    CodePointSetData::new::<ExtendedPictographic>();

/// A character that modifies the preceding letter: an accent, a vowel of an Indic script.
pub(in crate::fulltext) fn is_mark(c: char) -> bool {
    c >= '\u{300}' && GeneralCategoryGroup::Mark.contains(CATEGORIES.get(c))
}

/// A character that may continue a word.
pub(super) fn is_word_letter(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    (c.is_alphanumeric() || is_mark(c))
        && !is_ideograph(c)
        && !has_no_spaces(c)
        && !is_apostrophe(c)
}

/// An apostrophe, or a letter that is used as one ("Hawaiʻi").
pub(super) fn is_apostrophe(c: char) -> bool {
    matches!(
        c,
        '\'' | '`' | '\u{b4}' | '\u{2b9}' | '\u{2bb}'
            ..='\u{2bd}' | '\u{2018}' | '\u{2019}' | '\u{5f3}'
    )
}

/// The sign inside a Hebrew abbreviation.
pub(super) fn is_gershayim(c: char) -> bool {
    matches!(c, '"' | '\u{201d}' | '\u{5f4}')
}

pub(super) fn is_hebrew(c: char) -> bool {
    matches!(c, '\u{5d0}'..='\u{5ea}')
}

/// A hyphen, which separates the parts of a word that is also written as one: "e-mail".
pub(super) fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{2011}')
}

/// Characters of scripts written without spaces: kana, CJK ideographs, hangul syllables.
pub(in crate::fulltext) fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Characters of Thai, Lao, Burmese and Khmer, whose words are found by dictionaries.
pub(super) fn has_no_spaces(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{19e0}'..='\u{19ff}' | '\u{a9e0}'..='\u{a9ff}' | '\u{aa60}'..='\u{aa7f}')
}

/// An emoji or another pictograph that may begin a sequence.
pub(in crate::fulltext) fn is_emoji(c: char) -> bool {
    c >= '\u{231a}' && (PICTOGRAPHS.contains(c) || is_regional(c))
}

/// Half of a flag.
pub(super) fn is_regional(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}

/// A skin tone.
pub(super) fn is_modifier(c: char) -> bool {
    matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

/// A tag character in the flag of a region.
pub(super) fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0020}'..='\u{e007f}')
}

/// Appends the folded form of a letter of a normalised text: lower case, digits of any script as 0 to
/// 9, no vowel marks and accents that are separate characters, and one spelling of letters that have
/// two. Accents of Latin letters stay, since stemmers expect them.
pub(super) fn push_folded(c: char, language: Analyzer, word: &mut String) {
    if c.is_ascii() {
        word.push(match c {
            'I' if language == Analyzer::Turkish => 'ı',
            c => c.to_ascii_lowercase(),
        });
        return;
    }
    if is_left_out(c) {
        return;
    }
    for c in c.to_lowercase() {
        match c {
            'ß' => word.push_str("ss"),
            'ς' => word.push('σ'),
            'ё' | 'ѐ' => word.push('е'),
            'ѝ' => word.push('и'),
            '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => word.push(without_tonos(c)),
            '\u{620}'..='\u{6ff}' => word.push(arabic(c)),
            // Chandrabindu is often written as anusvara, a dot.
            '\u{901}' => word.push('\u{902}'),
            c if is_left_out(c) => {}
            c if CATEGORIES.get(c) == GeneralCategory::DecimalNumber => word.push(digit(c)),
            c => word.push(c),
        }
    }
}

/// Marks that are usually omitted in their script, and the dot that derives one Indic letter from
/// another.
fn is_left_out(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}'
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}'
        | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}' | '\u{6e7}' | '\u{6e8}' | '\u{6ea}'..='\u{6ed}'
        | '\u{711}' | '\u{730}'..='\u{74a}' | '\u{897}'..='\u{89f}' | '\u{8ca}'..='\u{8ff}'
        | '\u{93c}' | '\u{9bc}' | '\u{a3c}' | '\u{abc}' | '\u{b3c}' | '\u{cbc}'
        | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20f0}' | '\u{fe20}'..='\u{fe2f}'
        | JOINER | ZERO_WIDTH_SPACE)
}

/// A Greek letter without accents and breathings, which is the first part of its decomposition.
fn without_tonos(c: char) -> char {
    use icu_normalizer::DecomposingNormalizerBorrowed;
    const NFD: DecomposingNormalizerBorrowed<'static> = DecomposingNormalizerBorrowed::new_nfd();
    NFD.normalize_iter(std::iter::once(c)).next().unwrap_or(c)
}

/// The common form of an Arabic letter's variants: alef, waw and yeh without hamza, alef maqsura as
/// yeh, teh marbuta as heh, and Arabic forms of Persian and Urdu letters.
fn arabic(c: char) -> char {
    match c {
        'أ' | 'إ' | 'آ' | 'ٱ' | '\u{672}' | '\u{673}' | '\u{675}' => 'ا',
        'ؤ' | '\u{676}' => 'و',
        'ئ' | 'ى' | 'ی' | 'ې' | 'ے' | 'ۓ' | '\u{6cd}' | '\u{620}' => 'ي',
        'ة' | 'ۀ' | 'ہ' | 'ۂ' | 'ۃ' | 'ھ' | 'ە' => 'ه',
        'ک' | 'ڪ' => 'ك',
        c if CATEGORIES.get(c) == GeneralCategory::DecimalNumber => digit(c),
        c => c,
    }
}

/// The digits of a script are ten consecutive characters whose first code ends in 0 or 6.
fn digit(c: char) -> char {
    let code = u32::from(c);
    let is_digit = |code| {
        char::from_u32(code).is_some_and(|c| CATEGORIES.get(c) == GeneralCategory::DecimalNumber)
    };
    let row = code & !0xf;
    let value = if is_digit(row) {
        code - row
    } else {
        code.wrapping_sub(row + 6)
    };
    char::from_digit(value, 10).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut word = String::new();
        text.chars()
            .for_each(|c| push_folded(c, Analyzer::Plain, &mut word));
        word
    }

    #[test]
    fn letters_written_in_two_ways_are_one() {
        for (one, other) in [
            ("STRASSE", "Straße"),
            ("ещё", "еще"),
            ("ΓΆΤΑΣ", "γάτας"),
            ("γατας", "γάτας"),
            ("שָׁלוֹם", "שלום"),
            ("كَتَبَ", "كتب"),
            ("العـــربية", "العربيه"),
            ("أحمد إلى آخر", "احمد الي اخر"),
            ("کتابی", "كتابي"),
            ("٣४๕၅", "3455"),
            ("𞥑", "1"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
    }
}
