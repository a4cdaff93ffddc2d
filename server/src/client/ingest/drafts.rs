//! Reads the documents of one file, one at a time.

use super::failure::Failure;
use super::files;
use super::ids;
use super::walk::{Kind, SourceFile};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Enough for images in base64.
const MAX_LINE_BYTES: u64 = 64 << 20;
const MAX_IMAGE_BYTES: u64 = 256 << 20;

/// One document to send.
#[derive(Debug)]
pub struct Draft {
    /// The file, or file and line, for error messages.
    pub origin: String,
    /// The document in the format of the REST API, without `image` if the field `image` below has a
    /// file to send.
    pub document: Map<String, Value>,
    pub image: Option<Image>,
    /// Bytes of the file that are consumed by this document.
    pub weight: u64,
}

#[derive(Debug)]
pub struct Image {
    pub bytes: Vec<u8>,
    pub media_type: String,
}

impl Draft {
    /// Its approximate size in memory and in a request, in bytes.
    pub fn size(&self) -> u64 {
        let image = self.image.as_ref().map_or(0, |image| image.bytes.len());
        self.weight.max(image as u64)
    }
}

/// The documents of a file. `metadata` is added to each; fields of the document take precedence.
pub fn drafts<'a>(
    file: SourceFile,
    metadata: &'a Map<String, Value>,
) -> Box<dyn Iterator<Item = Result<Draft, Failure>> + 'a> {
    if file.kind == Kind::Image {
        return Box::new(std::iter::once(image_draft(&file, metadata)));
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

fn image_draft(file: &SourceFile, metadata: &Map<String, Value>) -> Result<Draft, Failure> {
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
        image: Some(read_image(&file.path).map_err(failed)?),
        weight: file.bytes,
    })
}

fn read_image(path: &Path) -> Result<Image, String> {
    let mut bytes = Vec::new();
    files::open(path)?
        .take(MAX_IMAGE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| files::unreadable(&error))?;
    if bytes.is_empty() {
        return Err("is empty".to_owned());
    }
    if bytes.len() as u64 > MAX_IMAGE_BYTES {
        return Err(format!("is larger than {} MiB", MAX_IMAGE_BYTES >> 20));
    }
    Ok(Image {
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
            .take(MAX_LINE_BYTES + 1)
            .read_until(b'\n', line)
            .map_err(|error| files::unreadable(&error))?;
        if length as u64 > MAX_LINE_BYTES {
            return Err(format!(
                "the line is longer than {} MiB; the rest of the file is skipped",
                MAX_LINE_BYTES >> 20
            ));
        }
        Ok(length as u64)
    }

    fn draft(&self, origin: &str, line: &str, weight: u64) -> Result<Draft, String> {
        let mut document = match self.file.kind {
            Kind::Records => serde_json::from_str::<Map<String, Value>>(line)
                .map_err(|error| format!("is not a JSON object: {error}"))?,
            Kind::Lines | Kind::Image => Map::from_iter([("text".to_owned(), json!(line))]),
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
        let image = match referenced_image(&document) {
            Some(name) => {
                let path = self.file.path.with_file_name("").join(name);
                let image = read_image(&path)
                    .map_err(|detail| format!("its image '{}' {detail}", path.display()))?;
                document.remove("image");
                Some(image)
            }
            None => None,
        };
        Ok(Draft {
            origin: origin.to_owned(),
            document,
            image,
            weight,
        })
    }
}

/// `{"image": {"file": NAME}}` references a file next to the NDJSON.
fn referenced_image(document: &Map<String, Value>) -> Option<String> {
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
        // Empty lines are counted with the next document.
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
        fs::write(folder.path().join("red.png"), b"image").unwrap();
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
    fn each_line_becomes_a_text_with_its_line_number_in_the_id() {
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
        assert_eq!(weight, content.len() as u64, "every byte is counted once");
    }

    #[test]
    fn records_keep_their_own_metadata_and_load_referenced_images() {
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
        let image = first.image.as_ref().unwrap();
        assert_eq!(
            (image.bytes.as_slice(), image.media_type.as_str()),
            (&b"image"[..], "image/png")
        );
        assert_eq!(
            second.as_ref().unwrap().document["id"],
            "shelf/all.ndjson:2"
        );
        let third = third.as_ref().unwrap();
        assert!(third.image.is_none());
        assert_eq!(third.document["image"], json!({"base64": "AAAA"}));
    }

    #[test]
    fn an_invalid_line_fails_alone_and_is_reported() {
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
