//! Splits a JSON array into its elements, which are then parsed one by one: an invalid element
//! fails alone. Only the array's own brackets and commas have to be valid.

use bytes::Bytes;
use serde::de::IgnoredAny;

use crate::http::body;
use crate::http::error::ApiError;
use crate::http::exact_json::string_end;

/// The remaining elements of an array.
pub(super) struct Elements {
    json: Bytes,
    at: usize,
    count: usize,
}

impl Elements {
    /// # Errors
    /// `json` is not one array: a bracket or a quote is not closed, an element is empty, or
    /// more text follows.
    pub(super) fn of(json: Bytes) -> Result<Self, ApiError> {
        let begin = json.iter().position(|byte| *byte == b'[');
        let mut elements = Self {
            at: begin.map_or(json.len(), |begin| begin + 1),
            json,
            count: 0,
        };
        let all = (elements.json.clone(), elements.at);
        let (mut count, mut is_closed) = (0, false);
        if elements.is_at_end() {
            is_closed = true;
        } else {
            while let Some(end) = elements.next_end() {
                let element = &elements.json[elements.at..end];
                if element.trim_ascii().is_empty() {
                    break;
                }
                count += 1;
                elements.at = end + 1;
                if elements.json[end] == b']' {
                    is_closed = true;
                    break;
                }
            }
        }
        if is_closed && elements.json[elements.at..].trim_ascii().is_empty() {
            let (json, at) = all;
            return Ok(Self { json, at, count });
        }
        // The parser reports the reason.
        body::parse::<IgnoredAny>(&elements.json)?;
        Err(ApiError::InvalidJson("it is not a single array".to_owned()))
    }

    /// The number of remaining elements.
    pub(super) fn remaining(&self) -> usize {
        self.count
    }

    /// Whether the array ends here, without an element; skips the end.
    fn is_at_end(&mut self) -> bool {
        let rest = self.json[self.at..].trim_ascii_start();
        let ends = rest.first() == Some(&b']');
        if ends {
            self.at = self.json.len() - rest.len() + 1;
        }
        ends
    }

    /// The position of the comma or the bracket after the next element.
    fn next_end(&self) -> Option<usize> {
        value_end(&self.json, self.at)
    }
}

impl Iterator for Elements {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.count == 0 {
            return None;
        }
        self.count -= 1;
        let end = self.next_end()?;
        let element = self.json.slice(self.at..end);
        self.at = end + 1;
        Some(element)
    }
}

/// The position after the value that begins at `at`: that of a comma, or of a bracket that the
/// value did not open. `None` if there is neither.
fn value_end(json: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match json.get(at)? {
            b'"' => {
                at = string_end(json, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b',' if depth == 0 => return Some(at),
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

/// Whether `json` is a single object, judging by its brackets.
pub(super) fn is_one_object(json: &[u8]) -> bool {
    let json = json.trim_ascii();
    let Some(inside) = json.strip_prefix(b"{") else {
        return false;
    };
    let mut at = 0;
    while let Some(end) = value_end(inside, at) {
        if inside[end] != b',' {
            return end + 1 == inside.len();
        }
        at = end + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(json: &str) -> Result<Vec<String>, ApiError> {
        let elements = Elements::of(Bytes::copy_from_slice(json.as_bytes()))?;
        let count = elements.remaining();
        let found: Vec<String> = elements
            .map(|element| String::from_utf8_lossy(&element).trim().to_owned())
            .collect();
        assert_eq!(found.len(), count);
        Ok(found)
    }

    #[test]
    fn an_array_is_split_whatever_its_elements_are() {
        assert_eq!(elements(" [ ] \n").unwrap(), [""; 0]);
        assert_eq!(
            elements(r#" [{"a": "],[\"\\"}, [1, {}], 7,"x",{"a" }] "#).unwrap(),
            [r#"{"a": "],[\"\\"}"#, "[1, {}]", "7", "\"x\"", r#"{"a" }"#]
        );
        let bad = r#"[{"text": 1e999}, {"text": "\ud800"}, {"a": tru}, {"a": 1 "b"}]"#;
        assert_eq!(elements(bad).unwrap().len(), 4);
        let deep = format!("[{{}},{}{},1]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(elements(&deep).unwrap().len(), 3);
    }

    #[test]
    fn anything_but_a_single_array_is_refused() {
        for json in [
            "",
            "[",
            "[{}",
            "[{},",
            "[{},]",
            "[,]",
            "[{},,{}]",
            "[{}]x",
            "[{}][]",
            "[{\"a]",
            "[{]}",
            "[\"a\\\"]",
        ] {
            assert!(
                matches!(elements(json), Err(ApiError::InvalidJson(_))),
                "{json}"
            );
        }
    }

    #[test]
    fn a_single_object_is_distinguished_from_lines() {
        for json in [
            "{}",
            " {\"a\": [1, {}],\n \"b\": \"}\"\n}\n",
            "{\"a\": tru,}",
        ] {
            assert!(is_one_object(json.as_bytes()), "{json}");
        }
        for json in ["", "[]", "{}\n{}", "{\"a\": 1}\n{\"b\": 2", "{\"a\"", "7"] {
            assert!(!is_one_object(json.as_bytes()), "{json}");
        }
    }
}
