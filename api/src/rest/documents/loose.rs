//! Scans a refused document for its id, which its failure names, and for the files that it names,
//! which must not become documents of their own.
//!
//! The document may be invalid JSON; anything that looks like a field with a string counts as one.

use crate::http::exact_json::string_end;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LooseFields {
    pub id: Option<String>,
    /// `image.file`.
    pub files: Vec<String>,
}

pub(super) fn scan(json: &[u8]) -> LooseFields {
    let mut found = LooseFields::default();
    // Whether each open object is the value of 'image'.
    let mut open: Vec<bool> = Vec::new();
    let mut key: Option<&[u8]> = None;
    let mut at = 0;
    while at < json.len() {
        match json[at] {
            b'"' => {
                let Some(end) = string_end(json, at) else {
                    break;
                };
                let string = &json[at..end];
                match key.take() {
                    Some(b"\"id\"") if open.len() == 1 && found.id.is_none() => {
                        found.id = Some(unescaped(string));
                    }
                    Some(b"\"file\"") if open.last() == Some(&true) => {
                        found.files.push(unescaped(string));
                    }
                    _ => {}
                }
                let rest = &json[end..];
                let blank = rest.len() - rest.trim_ascii_start().len();
                if rest.get(blank) == Some(&b':') {
                    key = Some(string);
                    at = end + blank + 1;
                } else {
                    at = end;
                }
                continue;
            }
            b'{' => open.push(key.take() == Some(b"\"image\"")),
            b'}' => {
                open.pop();
            }
            byte if byte.is_ascii_whitespace() => {}
            _ => key = None,
        }
        at += 1;
    }
    found
}

fn unescaped(string: &[u8]) -> String {
    serde_json::from_slice(string)
        .unwrap_or_else(|_| String::from_utf8_lossy(&string[1..string.len() - 1]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &[u8]) -> (Option<String>, Vec<String>) {
        let LooseFields { id, files } = scan(json);
        (id, files)
    }

    #[test]
    fn id_and_file_of_a_broken_document_are_found() {
        let both = (Some("a\"b".to_owned()), vec!["f.png".to_owned()]);
        for json in [
            br#"{"id": "a\"b", "image": {"file": "f.png"}}"#.as_slice(),
            br#"{"image" : { "file" : "f.png" }, "id":"a\"b", "txt": 1e999}"#,
            br#"{"metadata": {"file": "g", "id": "x"}, "id": "a\"b", "image": {"file": "f.png"}, "#,
            b"{\"id\": \"a\\\"b\", \"text\": \"\xff\", \"image\": {\"file\": \"f.png\"}}",
            br#"{"id": "a\"b", "x": tru, "text": "\ud800", "image": {"url": "u", "file": "f.png"}"#,
        ] {
            assert_eq!(found(json), both, "{}", String::from_utf8_lossy(json));
        }
        for json in [
            r#"{"id": 7}"#,
            "",
            "7",
            "{\"id",
            r#"["id", "file"]"#,
            r#"{"id": ["a"]}"#,
        ] {
            assert_eq!(found(json.as_bytes()), (None, vec![]), "{json}");
        }
    }
}
