//! Excerpts of client input for error messages: a value may be as large as a request, so only its
//! beginning is quoted.

use std::fmt;

/// The most characters of one value in an error.
const VALUE: usize = 100;
/// Characters that are kept from the beginning of a message, which says what happened.
const HEAD: usize = 700;
/// Characters that are kept from the end of a message, which says what to do.
const TAIL: usize = 300;

/// Displays an excerpt of a value; see [`excerpt`].
pub struct Excerpt<'a>(&'a str);

/// The first 100 characters of `value`; a longer value ends with `…`.
pub fn excerpt(value: &str) -> Excerpt<'_> {
    Excerpt(value)
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(VALUE) {
            Some((end, _)) => write!(f, "{}…", &self.0[..end]),
            None => f.write_str(self.0),
        }
    }
}

/// `message` with at most 1,001 characters: the middle of a longer one is replaced by `…`. Libraries
/// quote complete values in their errors.
pub fn bounded(message: String) -> String {
    let Some((head, _)) = message.char_indices().nth(HEAD) else {
        return message;
    };
    match message[head..].char_indices().nth_back(TAIL - 1) {
        Some((tail, _)) if tail > 0 => {
            format!("{}…{}", &message[..head], &message[head + tail..])
        }
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_after_its_beginning() {
        assert_eq!(excerpt("short").to_string(), "short");
        assert_eq!(excerpt(&"é".repeat(VALUE)).to_string(), "é".repeat(VALUE));
        let long = excerpt(&"é".repeat(1000)).to_string();
        assert_eq!(long, "é".repeat(VALUE) + "…");
    }

    #[test]
    fn a_long_message_keeps_its_beginning_and_its_end() {
        let whole = "é".repeat(HEAD + TAIL);
        assert_eq!(bounded(whole.clone()), whole);
        let long = bounded(format!(
            "what happened: '{}'; what to do",
            "é".repeat(100_000)
        ));
        assert_eq!(long.chars().count(), HEAD + 1 + TAIL);
        assert!(long.starts_with("what happened") && long.ends_with("what to do"));
    }
}
