//! Long words: tantivy drops words of more than 64 KiB, and terms of an index should be short.

use sha2::{Digest, Sha256};

/// Maximum length in bytes of an unchanged word.
pub(super) const LONGEST: usize = 256;

/// Replaces a longer word by its beginning and a digest of the complete word, so it can be found by
/// the word and by its beginning. Returns whether the word was longer.
pub(super) fn cut(word: &mut String) -> bool {
    if word.len() <= LONGEST {
        return false;
    }
    let digest = Sha256::digest(word.as_bytes());
    word.truncate(beginning(word, LONGEST).len());
    word.extend(digest.iter().map(|byte| format!("{byte:02x}")));
    true
}

/// The complete characters within the first `bytes` bytes.
pub(in crate::fulltext) fn beginning(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
