//! Documents read out of one file, one at a time.

use super::Failure;
use super::files;
use super::ids;
use super::walk::{Kind, SourceFile};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// A line beyond this is no document: whole pictures in base64 fit well.
const LONGEST_LINE: u64 = 64 << 20;
const LARGEST_PICTURE: u64 = 256 << 20;

/// One document to send.
#[derive(Debug)]
pub struct Draft {
    /// File, or file and line, as an error names it.
    pub origin: String,
    /// The document as the REST API takes it, but for `image` when `picture`
    /// holds the file to send beside it.
    pub document: Map<String, Value>,
    pub picture: Option<Picture>,
    /// Bytes of the source that are done with this document.
    pub weight: u64,
}

#[derive(Debug)]
pub struct Picture {
    pub bytes: Vec<u8>,
    pub media_type: String,
}

impl Draft {
    /// About how large it is in memory and on the wire.
    pub fn size(&self) -> u64 {
        let picture = self
            .picture
            .as_ref()
            .map_or(0, |picture| picture.bytes.len());
        self.weight.max(picture as u64)
    }
}

/// The documents of a file. `metadata` is added to each; what a document says
/// itself wins.
pub fn drafts<'a>(
    file: SourceFile,
    metadata: &'a Map<String, Value>,
) -> Box<dyn Iterator<Item = Result<Draft, Failure>> + 'a> {
    if file.kind == Kind::Picture {
        return Box::new(std::iter::once(picture_draft(&file, metadata)));
    }
    match files::open(&file.path) {
        Ok(opened) => Box::new(LineDrafts {
            lines: BufReader::new(opened),
            number: 0,
            ended: false,
            file,
            metadata,
        }),
        Err(detail) => Box::new(std::iter::once(Err(Failure {
            origin: file.path.display().to_string(),
            detail,
            weight: file.bytes,
        }))),
    }
}

fn picture_draft(file: &SourceFile, metadata: &Map<String, Value>) -> Result<Draft, Failure> {
    let failed = |detail| Failure {
        origin: file.path.display().to_string(),
        detail,
        weight: file.bytes,
    };
    let mut document = Map::new();
    document.insert("id".to_owned(), json!(file.id));
    if !metadata.is_empty() {
        document.insert("metadata".to_owned(), json!(metadata));
    }
    Ok(Draft {
        origin: file.path.display().to_string(),
        document,
        picture: Some(read_picture(&file.path).map_err(failed)?),
        weight: file.bytes,
    })
}

fn read_picture(path: &Path) -> Result<Picture, String> {
    let mut bytes = Vec::new();
    files::open(path)?
        .take(LARGEST_PICTURE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| files::unreadable(&error))?;
    if bytes.is_empty() {
        return Err("is empty".to_owned());
    }
    if bytes.len() as u64 > LARGEST_PICTURE {
        return Err(format!("it is over {} MiB", LARGEST_PICTURE >> 20));
    }
    Ok(Picture {
        bytes,
        media_type: mime_guess::from_path(path)
            .first_or_octet_stream()
            .to_string(),
    })
}

struct LineDrafts<'a> {
    lines: BufReader<File>,
    number: u64,
    ended: bool,
    file: SourceFile,
    metadata: &'a Map<String, Value>,
}

impl LineDrafts<'_> {
    fn read_line(&mut self, line: &mut Vec<u8>) -> Result<u64, String> {
        let length = self
            .lines
            .by_ref()
            .take(LONGEST_LINE + 1)
            .read_until(b'\n', line)
            .map_err(|error| files::unreadable(&error))?;
        if length as u64 > LONGEST_LINE {
            return Err(format!(
                "the line is over {} MiB; the rest of the file is left out",
                LONGEST_LINE >> 20
            ));
        }
        Ok(length as u64)
    }

    fn draft(&self, origin: &str, line: &str, weight: u64) -> Result<Draft, String> {
        let mut document = match self.file.kind {
            Kind::Records => serde_json::from_str::<Map<String, Value>>(line)
                .map_err(|error| format!("is not a JSON object: {error}"))?,
            Kind::Lines | Kind::Picture => Map::from_iter([("text".to_owned(), json!(line))]),
        };
        document
            .entry("id")
            .or_insert_with(|| json!(format!("{}:{}", self.file.id, self.number)));
        ids::check_document(&document)?;
        if !self.metadata.is_empty() {
            let own = document.entry("metadata").or_insert_with(|| json!({}));
            if let Value::Object(own) = own {
                for (key, value) in self.metadata {
                    own.entry(key).or_insert_with(|| value.clone());
                }
            }
        }
        let picture = match named_picture(&document) {
            Some(name) => {
                let path = self.file.path.with_file_name("").join(name);
                let picture = read_picture(&path)
                    .map_err(|detail| format!("its image '{}' {detail}", path.display()))?;
                document.remove("image");
                Some(picture)
            }
            None => None,
        };
        Ok(Draft {
            origin: origin.to_owned(),
            document,
            picture,
            weight,
        })
    }
}

/// `{"image": {"file": NAME}}` is a file beside the NDJSON.
fn named_picture(document: &Map<String, Value>) -> Option<String> {
    document
        .get("image")?
        .get("file")?
        .as_str()
        .map(str::to_owned)
}

impl Iterator for LineDrafts<'_> {
    type Item = Result<Draft, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        // Of lines without a document; they are done with the next that has one.
        let mut weight = 0;
        while !self.ended {
            line.clear();
            self.number += 1;
            let origin = format!("{}:{}", self.file.path.display(), self.number);
            let failed = |detail, weight| Failure {
                origin: origin.clone(),
                detail,
                weight,
            };
            let length = match self.read_line(&mut line) {
                Ok(0) => break,
                Ok(length) => length,
                Err(detail) => {
                    self.ended = true;
                    return Some(Err(failed(detail, weight)));
                }
            };
            weight += length;
            let Ok(text) = std::str::from_utf8(&line) else {
                return Some(Err(failed("is not UTF-8 text".to_owned(), weight)));
            };
            let text = text.trim_start_matches('\u{feff}').trim();
            if !text.is_empty() {
                return Some(
                    self.draft(&origin, text, weight)
                        .map_err(|detail| failed(detail, weight)),
                );
            }
        }
        self.ended = true;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(name: &str, content: &[u8], metadata: Value) -> Vec<Result<Draft, Failure>> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("red.png"), b"picture").unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let kind = if name.ends_with("txt") {
            Kind::Lines
        } else {
            Kind::Records
        };
        let file = SourceFile {
            path,
            id: format!("shelf/{name}"),
            kind,
            bytes: content.len() as u64,
        };
        let Value::Object(metadata) = metadata else {
            panic!("metadata is an object")
        };
        drafts(file, &metadata).collect()
    }

    #[test]
    fn lines_become_texts_with_the_number_of_their_line() {
        let content = "\u{feff}One.\r\n\n  \nTwo, and \u{1f954}.".as_bytes();
        let drafts = read("book.txt", content, json!({"year": 1813}));
        let documents: Vec<_> = drafts
            .iter()
            .map(|draft| &draft.as_ref().unwrap().document)
            .collect();
        assert_eq!(
            json!(documents),
            json!([
                {"id": "shelf/book.txt:1", "text": "One.", "metadata": {"year": 1813}},
                {"id": "shelf/book.txt:4", "text": "Two, and \u{1f954}.", "metadata": {"year": 1813}},
            ])
        );
        let weight: u64 = drafts
            .iter()
            .map(|draft| draft.as_ref().unwrap().weight)
            .sum();
        assert_eq!(weight, content.len() as u64, "every byte is done with once");
    }

    #[test]
    fn records_keep_their_own_words_and_bring_the_pictures_they_name() {
        let content = br#"{"id": "r", "image": {"file": "red.png"}, "metadata": {"set": "mine"}}
{"text": "no id"}
{"text": "an image inside", "image": {"base64": "AAAA"}}
"#;
        let drafts = read("all.ndjson", content, json!({"set": "given", "year": 2024}));
        let [first, second, third] = &drafts[..] else {
            panic!("three records")
        };
        let first = first.as_ref().unwrap();
        assert_eq!(
            json!(first.document),
            json!({"id": "r", "metadata": {"set": "mine", "year": 2024}})
        );
        let picture = first.picture.as_ref().unwrap();
        assert_eq!(
            (picture.bytes.as_slice(), picture.media_type.as_str()),
            (&b"picture"[..], "image/png")
        );
        assert_eq!(
            second.as_ref().unwrap().document["id"],
            "shelf/all.ndjson:2"
        );
        let third = third.as_ref().unwrap();
        assert!(third.picture.is_none());
        assert_eq!(third.document["image"], json!({"base64": "AAAA"}));
    }

    #[test]
    fn a_bad_line_fails_alone_and_is_named() {
        let drafts = read(
            "all.ndjson",
            b"{\"text\": \"good\"}\n{\"text\": \n[1]\n\xff\xfe\n{\"image\": {\"file\": \"absent.png\"}}\n{\"text\": \"good\"}",
            json!({}),
        );
        let failures: Vec<_> = drafts
            .iter()
            .filter_map(|draft| draft.as_ref().err())
            .collect();
        assert_eq!((drafts.len(), failures.len()), (6, 4));
        for (failure, (line, reason)) in failures.iter().zip([
            (2, "not a JSON object"),
            (3, "not a JSON object"),
            (4, "not UTF-8"),
            (5, "absent.png' cannot be read"),
        ]) {
            assert!(
                failure.origin.ends_with(&format!("all.ndjson:{line}")),
                "{}",
                failure.origin
            );
            assert!(failure.detail.contains(reason), "{}", failure.detail);
        }
    }
}
