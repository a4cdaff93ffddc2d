//! The names in a part's `Content-Disposition`, in every encoding that clients send: UTF-8 or
//! Latin-1 bytes, `filename*` (RFC 8187) and encoded words (RFC 2047).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Windows-1252 from 0x80 to 0x9f, which the web uses for Latin-1.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Disposition {
    pub name: String,
    pub filename: Option<String>,
}

impl Disposition {
    /// `None` if the header is not that of a form's part with a name.
    pub(super) fn of_form(value: &[u8]) -> Option<Self> {
        let (kind, parameters) = parameters(value);
        if !kind.eq_ignore_ascii_case(b"form-data") {
            return None;
        }
        let plain = |wanted: &str| {
            let value = find(&parameters, wanted)?;
            let text = text(value);
            Some(encoded_words(&text).unwrap_or(text))
        };
        let extended = |wanted: &str| find(&parameters, wanted).and_then(extended_value);
        Some(Self {
            name: extended("name*").or_else(|| plain("name"))?,
            filename: extended("filename*").or_else(|| plain("filename")),
        })
    }
}

/// Returns the value of a header's parameter.
pub(super) fn parameter(header: &[u8], name: &str) -> Option<Vec<u8>> {
    let (_, parameters) = parameters(header);
    find(&parameters, name).map(<[u8]>::to_vec)
}

type Parameters<'a> = Vec<(&'a [u8], Vec<u8>)>;

fn find<'a>(parameters: &'a Parameters, wanted: &str) -> Option<&'a [u8]> {
    let mut parameters = parameters.iter();
    parameters
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()))
        .map(|(_, value)| value.as_slice())
}

/// Splits a header into the text before the first semicolon and the parameters after it.
fn parameters(header: &[u8]) -> (&[u8], Parameters<'_>) {
    let kind = &header[..memchr::memchr(b';', header).unwrap_or(header.len())];
    let mut rest = header[kind.len()..].trim_ascii_start();
    let mut parameters = Vec::new();
    while let Some(after) = rest.strip_prefix(b";") {
        let parameter = after.trim_ascii_start();
        let end = memchr::memchr2(b'=', b';', parameter).unwrap_or(parameter.len());
        let name = parameter[..end].trim_ascii();
        let Some(value) = parameter[end..].strip_prefix(b"=") else {
            rest = &parameter[end..];
            continue;
        };
        let value = value.trim_ascii_start();
        let (value, after) = match value.strip_prefix(b"\"") {
            Some(quoted) => unquoted(quoted),
            None => {
                let end = memchr::memchr(b';', value).unwrap_or(value.len());
                (value[..end].trim_ascii().to_vec(), &value[end..])
            }
        };
        parameters.push((name, value));
        rest = &after[memchr::memchr(b';', after).unwrap_or(after.len())..];
    }
    (kind.trim_ascii(), parameters)
}

/// Splits at the closing quote and removes the escapes. A backslash is literal unless a quote or a
/// backslash follows, since some clients send Windows paths.
fn unquoted(quoted: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::with_capacity(quoted.len());
    let mut at = 0;
    while at < quoted.len() {
        match quoted[at..] {
            [b'"', ..] => return (value, &quoted[at + 1..]),
            [b'\\', escaped @ (b'"' | b'\\'), ..] => {
                value.push(escaped);
                at += 2;
            }
            [byte, ..] => {
                value.push(byte);
                at += 1;
            }
            [] => break,
        }
    }
    (value, &[])
}

/// Decodes UTF-8 if it is valid, otherwise Latin-1.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => latin_1(bytes),
    }
}

fn latin_1(bytes: &[u8]) -> String {
    let letter = |byte: &u8| match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        byte => char::from(*byte),
    };
    bytes.iter().map(letter).collect()
}

fn in_charset(charset: &[u8], bytes: &[u8]) -> Option<String> {
    match charset.to_ascii_lowercase().as_slice() {
        b"utf-8" | b"utf8" | b"us-ascii" => String::from_utf8(bytes.to_vec()).ok(),
        b"iso-8859-1" | b"latin1" | b"windows-1252" => Some(latin_1(bytes)),
        _ => None,
    }
}

/// Decodes `UTF-8'en'na%C3%AFve.png`; `None` for a malformed value or an unsupported charset.
fn extended_value(value: &[u8]) -> Option<String> {
    let mut pieces = value.splitn(3, |byte| *byte == b'\'');
    let (charset, _language, text) = (pieces.next()?, pieces.next()?, pieces.next()?);
    in_charset(charset, &with_escapes(text, b'%')?)
}

/// Decodes bytes that are escaped as `escape` and two hexadecimal digits.
fn with_escapes(text: &[u8], escape: u8) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        if *byte == escape {
            let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &behind[2..];
        } else {
            bytes.push(*byte);
            rest = behind;
        }
    }
    Some(bytes)
}

/// Decodes `=?utf-8?B?…?= =?utf-8?Q?…?=`; `None` if the value has anything else.
fn encoded_words(value: &str) -> Option<String> {
    let mut decoded = String::new();
    let mut rest = value.trim();
    while !rest.is_empty() {
        let mut pieces = rest.strip_prefix("=?")?.splitn(3, '?');
        let (charset, kind, behind) = (pieces.next()?, pieces.next()?, pieces.next()?);
        let (word, behind) = behind.split_once("?=")?;
        let bytes = match kind {
            "B" | "b" => BASE64.decode(word).ok()?,
            "Q" | "q" => with_escapes(word.replace('_', " ").as_bytes(), b'=')?,
            _ => return None,
        };
        decoded.push_str(&in_charset(charset.as_bytes(), &bytes)?);
        rest = behind.trim_start();
    }
    (!decoded.is_empty()).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filename(parameters: &[u8]) -> Option<String> {
        let header = [b"form-data; name=\"f\"; ".as_slice(), parameters].concat();
        let disposition = Disposition::of_form(&header).unwrap();
        assert_eq!(disposition.name, "f");
        disposition.filename
    }

    #[test]
    fn names_are_decoded_in_every_encoding() {
        for (parameters, name) in [
            (b"filename=\"a.png\"".as_slice(), "a.png"),
            (b"filename=a.png", "a.png"),
            (b"FileName = \"a;b.png\" ; x=y", "a;b.png"),
            (b"filename=\"a \\\"b\\\".png\"", "a \"b\".png"),
            (b"filename=\"C:\\new\\a.png\"", "C:\\new\\a.png"),
            ("filename=\"Zürich.png\"".as_bytes(), "Zürich.png"),
            (b"filename=\"Z\xfcrich\x96.png\"", "Zürich–.png"),
            (b"filename*=UTF-8''Z%C3%BCrich.png", "Zürich.png"),
            (b"filename*=utf-8'de'Z%c3%bcrich.png", "Zürich.png"),
            (b"filename*=iso-8859-1''Z%FCrich.png", "Zürich.png"),
            (
                b"filename=\"Zurich.png\"; filename*=UTF-8''Z%C3%BCrich.png",
                "Zürich.png",
            ),
            (
                b"filename*=UTF-8''Z%C3%BCrich.png; filename=\"Zurich.png\"",
                "Zürich.png",
            ),
            (b"filename=\"=?utf-8?B?WsO8cmljaC5wbmc=?=\"", "Zürich.png"),
            (
                b"filename=\"=?UTF-8?Q?Z=C3=BCrich_a?= =?iso-8859-1?q?=FC.png?=\"",
                "Zürich aü.png",
            ),
            // Malformed values are taken literally.
            (b"filename=\"a.png\"; filename*=UTF-8''%C3", "a.png"),
            (b"filename=\"a.png\"; filename*=koi8-r''%C3", "a.png"),
            (b"filename=\"=?utf-8?B?\"", "=?utf-8?B?"),
            (b"filename=\"100%25.png\"", "100%25.png"),
        ] {
            let shown = String::from_utf8_lossy(parameters);
            assert_eq!(filename(parameters).as_deref(), Some(name), "{shown}");
        }
        assert_eq!(filename(b"filename*=UTF-8''%zz"), None);
    }

    #[test]
    fn only_a_form_s_part_with_a_name_is_accepted() {
        for header in [
            "",
            "attachment; name=\"a\"",
            "form-data",
            "form-data; filename=\"a\"",
        ] {
            assert_eq!(Disposition::of_form(header.as_bytes()), None, "{header}");
        }
        let empty = Disposition::of_form(b"form-data; name=\"\"").unwrap();
        assert_eq!(empty, Disposition::default());
        let boundary = parameter(
            b"multipart/form-data; charset=utf-8; boundary=\"a b\"",
            "boundary",
        );
        assert_eq!(boundary.as_deref(), Some(b"a b".as_slice()));
    }
}
