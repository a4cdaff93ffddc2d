//! The documents of a complete body, one by one; an invalid document fails alone.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::{Stream, stream};

use crate::http::body;
use crate::http::body::without_byte_order_mark;
use crate::http::error::ApiError;
use crate::rest::documents::array;
use crate::rest::documents::array::Elements;
use crate::rest::documents::batch;
use crate::rest::documents::results::Request;
use crate::rest::documents::wire::{failed, incoming};
use crate::rest::multipart::{FilePart, Files};
use clipdb_engine::{Draft, EngineError, Incoming, blocking};

pub(super) struct DocumentReader {
    sources: VecDeque<Source>,
    files: Files,
    /// Documents precede the files that none of them names.
    at_files: bool,
    request: Request,
}

enum Source {
    One(Bytes),
    Array(Elements),
    Lines(Bytes),
}

impl DocumentReader {
    /// One document or an array of them.
    pub(super) fn of_json(json: Bytes) -> Result<Self, ApiError> {
        let source = Source::of_json(json)?;
        Ok(Self {
            request: match source {
                Source::One(_) => Request::Single,
                Source::Array(_) | Source::Lines(_) => Request::Batch,
            },
            sources: VecDeque::from([source]),
            files: Files::default(),
            at_files: false,
        })
    }

    /// The parts `documents` first (an object, an array or lines), then each file that no document
    /// names, as a document of its own.
    pub(super) fn of_form(parts: Vec<FilePart>) -> Result<Self, ApiError> {
        if parts.is_empty() {
            return Err(ApiError::InvalidMultipart(
                "the multipart request has no parts".to_owned(),
            ));
        }
        let (documents, files): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .partition(|part| part.name == "documents" && !part.is_image());
        let sources = documents.into_iter().map(Source::of_part);
        Ok(Self {
            sources: sources.collect::<Result<_, _>>()?,
            files: Files::new(files),
            at_files: false,
            request: Request::Batch,
        })
    }

    /// Whether the body is one document or a list of them.
    pub(super) fn request(&self) -> Request {
        self.request
    }

    /// The number of documents, if it is known before they are parsed.
    pub(super) fn known_count(&self) -> Option<usize> {
        match (self.sources.front(), self.files.is_empty()) {
            (Some(Source::One(_)), true) if self.sources.len() == 1 => Some(1),
            (Some(Source::Array(elements)), true) if self.sources.len() == 1 => {
                Some(elements.remaining())
            }
            _ => None,
        }
    }

    /// The documents on demand, parsed on the thread pool for blocking work.
    pub(super) fn stream(self) -> impl Stream<Item = Incoming> + Send + 'static {
        let state = (Some(self), VecDeque::new());
        stream::unfold(state, |(mut reader, mut ready)| async move {
            loop {
                if let Some(item) = ready.pop_front() {
                    return Some((item, (reader, ready)));
                }
                let mut from = reader.take()?;
                let read = blocking(move || {
                    let batch = from.batch();
                    (from, batch)
                });
                match read.await {
                    Ok((_, batch)) if batch.is_empty() => return None,
                    Ok((from, batch)) => (reader, ready) = (Some(from), batch),
                    Err(error) => return Some((failed(error.into()), (None, ready))),
                }
            }
        })
    }

    fn batch(&mut self) -> VecDeque<Incoming> {
        let mut items = VecDeque::new();
        let mut bytes = 0;
        while items.len() < batch::DOCUMENTS && bytes < batch::BYTES {
            let Some(item) = self.next() else {
                break;
            };
            bytes += item.draft.as_ref().map_or(0, Draft::bytes);
            items.push_back(item);
        }
        items
    }
}

impl Iterator for DocumentReader {
    type Item = Incoming;

    fn next(&mut self) -> Option<Incoming> {
        while let Some(source) = self.sources.front_mut() {
            match source.next() {
                Some(document) => return Some(incoming(&document, &mut self.files)),
                None => drop(self.sources.pop_front()),
            }
        }
        if !std::mem::replace(&mut self.at_files, true) {
            self.files.reverse();
        }
        self.files.next_unnamed().map(from_file)
    }
}

impl Source {
    fn of_json(json: Bytes) -> Result<Self, ApiError> {
        if json.trim_ascii_start().first() == Some(&b'[') {
            return Elements::of(json).map(Self::Array);
        }
        if !array::is_one_object(&json) {
            // Not a document: the error is the request's.
            body::parse::<&serde_json::value::RawValue>(&json)?;
        }
        Ok(Self::One(json))
    }

    fn of_part(part: FilePart) -> Result<Self, ApiError> {
        let is_ndjson = part.is_ndjson();
        let bytes = without_byte_order_mark(part.bytes);
        let is_lines = || {
            let mut lines = bytes.split(|byte| *byte == b'\n');
            !array::is_one_object(&bytes) && lines.any(array::is_one_object)
        };
        let begins_array = bytes.trim_ascii_start().first() == Some(&b'[');
        if is_ndjson || (!begins_array && is_lines()) {
            return Ok(Self::Lines(bytes));
        }
        Self::of_json(bytes)
    }
}

impl Iterator for Source {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::One(json) => Some(std::mem::take(json)).filter(|json| !json.is_empty()),
            Self::Array(elements) => elements.next(),
            Self::Lines(rest) => loop {
                if rest.is_empty() {
                    return None;
                }
                let end = memchr::memchr(b'\n', rest);
                let line = rest.split_to(end.map_or(rest.len(), |end| end + 1));
                if !line.trim_ascii().is_empty() {
                    return Some(line);
                }
            },
        }
    }
}

/// A file that no document names is a document: an image, or a text by its media type. Its name
/// becomes metadata, which makes it searchable.
fn from_file(file: FilePart) -> Incoming {
    if let Some(fault) = file.fault {
        return failed(ApiError::InvalidMultipart(fault));
    }
    let is_text = file.is_text();
    let metadata = file
        .filename
        .iter()
        .map(|name| ("filename".to_owned(), name.clone().into()))
        .collect();
    let draft = if is_text {
        match String::from_utf8(Vec::from(without_byte_order_mark(file.bytes))) {
            Ok(text) => Ok(Draft {
                text: Some(text),
                metadata,
                ..Draft::default()
            }),
            Err(_) => Err(ApiError::InvalidField(format!(
                "the text file '{}' is not UTF-8",
                file.name
            ))),
        }
    } else {
        Ok(Draft {
            image: Some(file.bytes.into()),
            metadata,
            ..Draft::default()
        })
    };
    Incoming {
        id: None,
        draft: draft.map_err(EngineError::from),
        share: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids or texts of documents, and the codes of failures.
    fn read(reader: DocumentReader) -> Vec<String> {
        reader
            .map(|item| match item.draft {
                Ok(draft) => draft.text.unwrap_or_default(),
                Err(error) => format!(
                    "{}: {}",
                    item.id.unwrap_or_default(),
                    crate::http::problem::code(&error.into())
                ),
            })
            .collect()
    }

    fn of_json(json: &[u8]) -> Vec<String> {
        read(DocumentReader::of_json(Bytes::copy_from_slice(json)).unwrap())
    }

    #[test]
    fn one_bad_document_of_an_array_fails_alone() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        for (bad, failure) in [
            (
                br#"{"id": "x", "text": 1e999}"#.as_slice(),
                "x: invalid_json",
            ),
            (br#"{"id": "x", "text": "\ud800"}"#, "x: invalid_json"),
            (
                b"{\"id\": \"x\", \"text\": \"\xff\xfe\"}",
                "x: invalid_json",
            ),
            (b"{\"id\": \"x\", \"text\": \"a\x01\"}", "x: invalid_json"),
            (br#"{"id": "x", "text": tru}"#, "x: invalid_json"),
            (br#"{"id": "x", "text": "a",}"#, "x: invalid_json"),
            (
                br#"{"id": "x", "text": "a", "text": "b"}"#,
                "x: invalid_field",
            ),
            (
                br#"{"id": "x", "metadata": {"a": 1, "a": 2}}"#,
                "x: invalid_field",
            ),
            (
                br#"{"id": "x", "text": "a", "metadata": {"a": 123456789012345678901}}"#,
                "x: invalid_field",
            ),
            (br#"{"id": 7, "text": "a"}"#, ": invalid_field"),
            (br#"{"id": "x", "txt": "a"}"#, "x: unknown_field"),
            (br#"{"id": "x", "image": {"file": "f"}}"#, "x: missing_part"),
            (
                br#"{"id": "a\tb", "text": "a"}"#,
                "a\tb: invalid_document_id",
            ),
            (b"7", ": invalid_field"),
            (b"null", ": invalid_field"),
            (
                format!(r#"{{"id": "x", "metadata": {{"a": {deep}}}}}"#).as_bytes(),
                "x: invalid_json",
            ),
        ] {
            let array = [
                br#"[{"text": "before"}, "#.as_slice(),
                bad,
                br#", {"text": "after"}]"#,
            ];
            let shown = String::from_utf8_lossy(bad);
            let shown = &shown[..shown.len().min(60)];
            assert_eq!(
                of_json(&array.concat()),
                ["before", failure, "after"],
                "{shown}"
            );
        }
    }

    fn part(name: &str, bytes: &str) -> FilePart {
        FilePart::for_test(name, bytes)
    }

    #[test]
    fn a_refused_document_takes_its_file_with_it() {
        let bad = [
            r#"{"id": "a\tb", "image": {"file": "f"}}"#,
            r#"{"id": "x", "txt": "a", "image": {"file": "f"}}"#,
            r#"[{"id": "x", "image": {"file": "f"}, "text": "\ud800"}]"#,
            "{\"id\": \"x\", \"image\": {\"file\": \"f\"}, }\n{\"text\": \"a\"}",
            r#"{"id": "x", "image": {"file": "f", "url": "u"}}"#,
        ];
        for documents in bad {
            let parts = vec![
                part("documents", documents),
                part("f", "file"),
                part("g", "other"),
            ];
            let found = read(DocumentReader::of_form(parts).unwrap());
            assert!(found[0].contains(": "), "{documents}: {found:?}");
            assert!(
                !found.contains(&"file".to_owned()),
                "{documents}: {found:?}"
            );
            assert_eq!(found.last().unwrap(), "other", "{documents}: {found:?}");
        }
    }

    #[test]
    fn a_form_s_documents_are_an_object_an_array_or_lines() {
        for (documents, texts) in [
            ("{\"text\":\n\"a\"}\n", vec!["a"]),
            (
                "\u{feff} [{\"text\": \"a\"}, {\"text\": \"b\"}]",
                vec!["a", "b"],
            ),
            (
                "\u{feff}{\"text\": \"a\"}\r\n\r\n{\"text\": \"b\"}\r\n",
                vec!["a", "b"],
            ),
            (
                "{\"text\": \"a\"}\n{broken\n{\"text\": \"b\"}",
                vec!["a", ": invalid_json", "b"],
            ),
        ] {
            let parts = vec![part("documents", documents)];
            assert_eq!(
                read(DocumentReader::of_form(parts).unwrap()),
                texts,
                "{documents}"
            );
        }
        for broken in ["{broken", "", "[{}", "nonsense"] {
            let refused = DocumentReader::of_form(vec![part("documents", broken)]).err();
            assert!(
                matches!(refused, Some(ApiError::InvalidJson(_))),
                "{broken}"
            );
        }
        let two = vec![
            part("documents", r#"{"text": "a"}"#),
            part("documents", r#"[{"text": "b"}]"#),
        ];
        assert_eq!(read(DocumentReader::of_form(two).unwrap()), ["a", "b"]);
    }
}
