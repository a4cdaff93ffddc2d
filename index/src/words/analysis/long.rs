//! Words of any length: tantivy drops what is longer than 64 KiB, and a term of an index should
//! be no text of its own.

use sha2::{Digest, Sha256};

/// Bytes of the longest word that is kept as it is.
pub(super) const LONGEST: usize = 256;

/// Makes a longer word its beginning and a digest of all of it, so that it is found as a whole
/// and by its beginning; whether it was longer.
pub(super) fn cut(word: &mut String) -> bool {
    if word.len() <= LONGEST {
        return false;
    }
    let digest = Sha256::digest(word.as_bytes());
    word.truncate(beginning(word, LONGEST).len());
    word.extend(digest.iter().map(|byte| format!("{byte:02x}")));
    true
}

/// As many whole characters as so many bytes hold.
pub(in crate::words) fn beginning(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
