//! What a client sent, as an error quotes it: a piece of it, since a value may be as large
//! as a request.

use std::fmt;

/// Characters of one value in an error.
const VALUE: usize = 100;
/// Characters of a whole error: what happened, and what to do, which stands last.
const HEAD: usize = 700;
const TAIL: usize = 300;

pub struct Quoted<'a>(&'a str);

/// The value's beginning, which says that there is more.
pub fn quoted(value: &str) -> Quoted<'_> {
    Quoted(value)
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(VALUE) {
            Some((end, _)) => write!(f, "{}…", &self.0[..end]),
            None => f.write_str(self.0),
        }
    }
}

/// A message without its middle, where it is longer than what anybody reads: libraries quote
/// whole values.
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
    fn a_value_is_quoted_by_its_beginning() {
        assert_eq!(quoted("short").to_string(), "short");
        assert_eq!(quoted(&"é".repeat(VALUE)).to_string(), "é".repeat(VALUE));
        let long = quoted(&"é".repeat(1000)).to_string();
        assert_eq!(long, "é".repeat(VALUE) + "…");
    }

    #[test]
    fn a_message_keeps_its_ends() {
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
