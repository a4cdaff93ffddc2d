//! Splits a form (`multipart/form-data`, RFC 7578) into its parts, which are slices of its body.
//!
//! The body is read to its end first, so its limit covers all of its bytes, including heads,
//! boundaries, preamble and epilogue.

use std::collections::HashMap;

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use memchr::memmem;

use crate::http::body;
use crate::http::error::ApiError;
use crate::http::state::HttpSettings;
use crate::rest::disposition;
use crate::rest::disposition::Disposition;
use clipdb_engine::{Engine, MemoryPermit, blocking};

/// The most parts of a form.
const PARTS: usize = 10_000;
/// Bytes of a part's head that are parsed.
const HEAD: usize = 16 << 10;
/// The longest boundary, in bytes (RFC 2046, 5.1.1, has 70).
const BOUNDARY: usize = 256;

#[derive(Debug)]
pub(in crate::rest) struct FilePart {
    /// The form field's name.
    pub name: String,
    pub filename: Option<String>,
    media_type: Option<String>,
    pub bytes: Bytes,
    /// Why the part's head is invalid.
    pub fault: Option<String>,
}

impl FilePart {
    #[cfg(test)]
    pub(in crate::rest) fn for_test(name: &str, content: &str) -> Self {
        Self {
            name: name.to_owned(),
            filename: None,
            media_type: None,
            bytes: Bytes::copy_from_slice(content.as_bytes()),
            fault: None,
        }
    }

    pub(in crate::rest) fn is_image(&self) -> bool {
        self.media_type
            .as_deref()
            .is_some_and(|kind| kind.starts_with("image/"))
    }

    pub(in crate::rest) fn is_text(&self) -> bool {
        self.media_type
            .as_deref()
            .is_some_and(|kind| kind.starts_with("text/"))
            || (self.media_type.is_none() && self.filename.is_none())
    }

    pub(in crate::rest) fn is_ndjson(&self) -> bool {
        self.media_type
            .as_deref()
            .is_some_and(crate::http::body::is_ndjson)
    }
}

/// A form's files. A document takes the file that it names, by field or by file name; of several
/// with the same name it takes the first that is free.
#[derive(Debug, Default)]
pub(in crate::rest) struct Files {
    parts: Vec<FilePart>,
    taken: Vec<bool>,
    by_name: HashMap<String, Vec<usize>>,
}

impl Files {
    pub(in crate::rest) fn new(parts: Vec<FilePart>) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, part) in parts.iter().enumerate() {
            let filename = part.filename.as_ref().filter(|name| **name != part.name);
            for name in [Some(&part.name), filename].into_iter().flatten() {
                by_name.entry(name.clone()).or_default().push(at);
            }
        }
        Self {
            taken: vec![false; parts.len()],
            parts,
            by_name,
        }
    }

    pub(in crate::rest) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn find(&self, name: &str) -> Option<usize> {
        let called = self.by_name.get(name)?;
        let free = called.iter().find(|at| !self.taken[**at]);
        free.or(called.first()).copied()
    }

    /// Takes the file `name`. A file may be named more than once.
    pub(in crate::rest) fn take(&mut self, name: &str) -> Option<Bytes> {
        let at = self.find(name)?;
        self.taken[at] = true;
        Some(self.parts[at].bytes.clone())
    }

    /// Returns the next file that no document has named.
    pub(in crate::rest) fn next_unnamed(&mut self) -> Option<FilePart> {
        while let Some(part) = self.parts.pop() {
            if !self.taken[self.parts.len()] {
                return Some(part);
            }
        }
        None
    }

    /// Reverses the files, since [`next_unnamed`](Self::next_unnamed) pops them from the end. After
    /// that no document may take a file.
    pub(in crate::rest) fn reverse(&mut self) {
        self.by_name.clear();
        self.parts.reverse();
        self.taken.reverse();
    }
}

/// Reads all parts of the body; also returns their share of the memory budget.
pub(in crate::rest) async fn read(
    engine: &Engine,
    settings: &HttpSettings,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Vec<FilePart>, MemoryPermit), ApiError> {
    let boundary = boundary(request)?;
    let body = body::read_full(engine, settings, request, payload).await?;
    let (bytes, share) = (body.bytes, body.share);
    let parts = blocking(move || split(&bytes, &boundary)).await??;
    Ok((parts, share))
}

fn boundary(request: &HttpRequest) -> Result<Vec<u8>, ApiError> {
    let value = request.headers().get(header::CONTENT_TYPE);
    let boundary = value.and_then(|value| disposition::parameter(value.as_bytes(), "boundary"));
    match boundary {
        Some(boundary) if (1..=BOUNDARY).contains(&boundary.len()) => Ok(boundary),
        _ => Err(invalid("the Content-Type has no 'boundary'")),
    }
}

fn invalid(reason: &str) -> ApiError {
    ApiError::InvalidMultipart(format!("the multipart body is invalid: {reason}"))
}

/// The parts between lines of `--boundary`, up to `--boundary--`.
fn split(body: &Bytes, boundary: &[u8]) -> Result<Vec<FilePart>, ApiError> {
    let delimiter = [b"--", boundary].concat();
    let finder = memmem::Finder::new(&delimiter);
    let Some(mut line) = next_delimiter(body, 0, &finder) else {
        return Err(invalid("the boundary does not occur"));
    };
    let mut parts = Vec::new();
    while let Delimiter::Opening { end, .. } = line {
        let Some(next) = next_delimiter(body, end, &finder) else {
            return Err(invalid("it ends in the middle of a part"));
        };
        if parts.len() == PARTS {
            return Err(ApiError::TooManyParts(PARTS));
        }
        parts.push(part(body.slice(end..next.start().max(end))));
        line = next;
    }
    Ok(parts)
}

/// A boundary line: its start, which includes the line break before it, and its end.
enum Delimiter {
    Opening { start: usize, end: usize },
    Closing { start: usize },
}

impl Delimiter {
    fn start(&self) -> usize {
        match self {
            Self::Opening { start, .. } | Self::Closing { start } => *start,
        }
    }
}

fn next_delimiter(body: &[u8], from: usize, finder: &memmem::Finder) -> Option<Delimiter> {
    for at in finder.find_iter(&body[from..]) {
        let at = from + at;
        // Only at the start of a line. Some clients omit the carriage return.
        let start = match &body[from..at] {
            [] => at,
            [.., b'\r', b'\n'] => at - 2,
            [.., b'\n'] => at - 1,
            _ => continue,
        };
        let after = &body[at + finder.needle().len()..];
        if after.starts_with(b"--") {
            return Some(Delimiter::Closing { start });
        }
        let blank = after
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        let line_break = match &after[blank..] {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            // A longer line that begins with the boundary is content.
            _ => continue,
        };
        let end = body.len() - after.len() + blank + line_break;
        return Some(Delimiter::Opening { start, end });
    }
    None
}

/// Parses a head, an empty line and the content.
fn part(bytes: Bytes) -> FilePart {
    // Without an empty line there is only a head: some clients omit an empty content with its line.
    let (head, content) = head_end(&bytes).unwrap_or((bytes.len(), bytes.len()));
    let (head, content) = (bytes.slice(..head.min(HEAD)), bytes.slice(content..));
    let (mut disposition, mut media_type) = (None, None);
    for (name, value) in lines(&head) {
        if name.eq_ignore_ascii_case(b"content-disposition") {
            disposition = Disposition::of_form(&value);
        } else if name.eq_ignore_ascii_case(b"content-type") {
            let kind = String::from_utf8_lossy(&value);
            let kind = kind.split(';').next().unwrap_or_default().trim();
            media_type = Some(kind.to_ascii_lowercase()).filter(|kind| !kind.is_empty());
        }
    }
    let fault = disposition
        .is_none()
        .then(|| "a part of the form has no 'Content-Disposition: form-data; name=…'".to_owned());
    let Disposition { name, filename } = disposition.unwrap_or_default();
    FilePart {
        name,
        filename,
        media_type,
        bytes: content,
        fault,
    }
}

/// The end of the head, and the start of the content after the empty line.
fn head_end(part: &[u8]) -> Option<(usize, usize)> {
    let mut line = 0;
    loop {
        match &part[line..] {
            [b'\r', b'\n', ..] => return Some((line, line + 2)),
            [b'\n', ..] => return Some((line, line + 1)),
            rest => line += memchr::memchr(b'\n', rest)? + 1,
        }
    }
}

/// The head's names and values; a line that begins with a blank continues the one before.
fn lines(head: &[u8]) -> Vec<(&[u8], Vec<u8>)> {
    let mut lines: Vec<(&[u8], Vec<u8>)> = Vec::new();
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if let Some((_, value)) = lines.last_mut() {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
            }
        } else if let Some(colon) = memchr::memchr(b':', line) {
            let value = line[colon + 1..].trim_ascii().to_vec();
            lines.push((line[..colon].trim_ascii(), value));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(body: &[u8]) -> Result<Vec<FilePart>, ApiError> {
        split(&Bytes::copy_from_slice(body), b"XX")
    }

    fn named(name: &str, content: &str) -> String {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
    }

    #[test]
    fn a_form_is_split_into_its_parts() {
        let body = format!(
            "preamble\r\n{}{}--XX \t\r\nCONTENT-TYPE: Image/PNG; a=b\r\n\
             content-disposition: form-data; name=f;\r\n filename=\"a b.png\"\r\n\r\n\
             --XXY\r\n--XX is here\r\n\r\n--XX--\r\nepilogue\r\n--XX\r\n",
            named("a", "one\r\ntwo"),
            named("empty", ""),
        );
        let found = parts(body.as_bytes()).unwrap();
        let seen: Vec<(&str, &[u8])> = found
            .iter()
            .map(|part| (part.name.as_str(), part.bytes.as_ref()))
            .collect();
        let content = b"--XXY\r\n--XX is here\r\n".as_slice();
        assert_eq!(
            seen,
            [
                ("a", b"one\r\ntwo".as_slice()),
                ("empty", b""),
                ("f", content)
            ]
        );
        assert_eq!(found[2].filename.as_deref(), Some("a b.png"));
        assert!(found[2].is_image() && found[0].is_text() && !found[2].is_text());
        assert!(found.iter().all(|part| part.fault.is_none()));
    }

    #[test]
    fn bare_line_feeds_are_line_ends() {
        let body = named("a", "one").replace('\r', "") + "--XX--";
        assert_eq!(parts(body.as_bytes()).unwrap()[0].bytes, "one");
    }

    #[test]
    fn a_part_without_a_name_fails_alone() {
        let body = format!(
            "--XX\r\nContent-Type: text/plain\r\n\r\nx\r\n--XX\r\nno head\r\n{}--XX--",
            named("a", "one")
        );
        let found = parts(body.as_bytes()).unwrap();
        assert_eq!(found.len(), 3);
        assert!(found[0].fault.is_some() && found[1].fault.is_some());
        assert!(found[2].fault.is_none());
    }

    #[test]
    fn anything_but_a_form_is_refused() {
        let open = named("a", "never closed");
        for body in ["", "no boundary at all", "--XX\r\n", &open, "--XY--\r\n"] {
            let refused = parts(body.as_bytes());
            assert!(
                matches!(refused, Err(ApiError::InvalidMultipart(_))),
                "{body}"
            );
        }
        assert!(parts(b"--XX--\r\n").unwrap().is_empty());
        let many = named("a", "").repeat(PARTS + 1) + "--XX--";
        assert!(matches!(
            parts(many.as_bytes()),
            Err(ApiError::TooManyParts(_))
        ));
    }

    #[test]
    fn files_are_taken_by_name() {
        let part = |name: &str, filename: Option<&str>, bytes: &'static str| FilePart {
            name: name.to_owned(),
            filename: filename.map(str::to_owned),
            media_type: None,
            bytes: Bytes::from_static(bytes.as_bytes()),
            fault: None,
        };
        let mut files = Files::new(vec![
            part("files", Some("a.png"), "1"),
            part("files", Some("b.png"), "2"),
            part("other", None, "3"),
            part("last", None, "4"),
        ]);
        assert_eq!(files.take("b.png").unwrap(), "2");
        assert_eq!(files.take("files").unwrap(), "1");
        assert_eq!(files.take("files").unwrap(), "1", "named once more");
        assert!(files.take("c").is_none());
        files.reverse();
        let unnamed: Vec<String> = std::iter::from_fn(|| files.next_unnamed())
            .map(|part| part.name)
            .collect();
        assert_eq!(unnamed, ["other", "last"]);
    }
}
