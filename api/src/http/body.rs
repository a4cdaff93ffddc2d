//! Reads request bodies within their limits, and parses JSON with clear errors.

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use clipdb_engine::{Engine, MemoryPermit, blocking};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::http::body_reader::BodyReader;
use crate::http::error::ApiError;
use crate::http::exact_json::check_whole_numbers;
use crate::http::state::HttpSettings;
use crate::http::strict_json;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A complete body, and its share of the memory budget: hold it as long as anything made of it.
pub(crate) struct FullBody {
    pub bytes: Bytes,
    pub share: MemoryPermit,
}

impl FullBody {
    /// Parses the body on the thread pool for blocking work; the memory remains counted.
    pub(crate) async fn parse<T>(self) -> Result<(T, MemoryPermit), ApiError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let Self { bytes, share } = self;
        let value = blocking(move || parse(&bytes)).await??;
        Ok((value, share))
    }
}

/// Reads the body to its end, at most `max_body_bytes`, and decodes its encoding.
pub(crate) async fn read_full(
    engine: &Engine,
    settings: &HttpSettings,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<FullBody, ApiError> {
    let limit = settings.max_body_bytes;
    let mut share = engine.admit_growing(announced_length(request, limit)?);
    let body = BodyReader::open(engine, request, payload, settings.pace).await?;
    let bytes = body.read_to_end(&mut share, limit).await?;
    Ok(FullBody { bytes, share })
}

/// The same for a route that accepts JSON only; removes the byte order mark.
pub(crate) async fn read_json_text(
    engine: &Engine,
    settings: &HttpSettings,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<FullBody, ApiError> {
    let kind = media_type(request);
    if kind.starts_with("multipart/") {
        return Err(ApiError::UnsupportedMediaType(kind, "application/json"));
    }
    let FullBody { bytes, share } = read_full(engine, settings, request, payload).await?;
    let bytes = without_byte_order_mark(bytes);
    Ok(FullBody { bytes, share })
}

pub(crate) fn without_byte_order_mark(bytes: Bytes) -> Bytes {
    match bytes.starts_with(BYTE_ORDER_MARK) {
        true => bytes.slice(BYTE_ORDER_MARK.len()..),
        false => bytes,
    }
}

/// The most bytes that the body can have: its `Content-Length` unless it is compressed, or the
/// limit.
fn announced_length(request: &HttpRequest, limit: usize) -> Result<usize, ApiError> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    match announced {
        Some(length) if length > limit => Err(ApiError::body_too_large(limit)),
        Some(length) if !request.headers().contains_key(header::CONTENT_ENCODING) => Ok(length),
        _ => Ok(limit),
    }
}

/// The media type without its parameters, in lower case; empty if there is none.
pub(crate) fn media_type(request: &HttpRequest) -> String {
    let value = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    value
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase()
}

pub(crate) fn is_ndjson(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/x-ndjson" | "application/ndjson" | "application/jsonl"
    )
}

/// Parses a JSON body as `T`; also returns its share of the memory budget.
pub(crate) async fn read_json<T: DeserializeOwned + Send + 'static>(
    engine: &Engine,
    settings: &HttpSettings,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(T, MemoryPermit), ApiError> {
    let body = read_json_text(engine, settings, request, payload).await?;
    body.parse().await
}

/// The same for data that is stored: refuses numbers that would lose digits.
pub(crate) async fn read_strict_json<T: DeserializeOwned + Send + 'static>(
    engine: &Engine,
    settings: &HttpSettings,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(T, MemoryPermit), ApiError> {
    let FullBody { bytes, share } = read_json_text(engine, settings, request, payload).await?;
    let read = move || {
        let value = parse(&bytes)?;
        check_whole_numbers(&bytes)?;
        Ok::<_, ApiError>(value)
    };
    Ok((blocking(read).await??, share))
}

/// Parses JSON as `T`; an error names the field and the position.
pub(crate) fn parse<'json, T: Deserialize<'json>>(json: &'json [u8]) -> Result<T, ApiError> {
    strict_json::read(json).map_err(ApiError::from)
}

/// For a field with a default: null means absent.
pub(crate) fn null_is_absent<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_media_type_is_compared_without_its_parameters() {
        for (given, expected) in [
            ("application/json", "application/json"),
            ("Application/JSON; charset=utf-8", "application/json"),
            (" text/plain ;a", "text/plain"),
            ("", ""),
        ] {
            let request = TestRequest::post().insert_header((header::CONTENT_TYPE, given));
            assert_eq!(media_type(&request.to_http_request()), expected);
        }
        assert_eq!(media_type(&TestRequest::post().to_http_request()), "");
        for kind in [
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
        ] {
            assert!(is_ndjson(kind));
        }
        assert!(!is_ndjson("application/json"));
    }

    #[test]
    fn a_length_is_known_unless_the_body_is_compressed() {
        let length = |headers: &[(header::HeaderName, &'static str)]| {
            let request = headers.iter().fold(TestRequest::post(), |request, header| {
                request.insert_header(header.clone())
            });
            announced_length(&request.to_http_request(), 100)
        };
        let announced = (header::CONTENT_LENGTH, "7");
        assert_eq!(length(std::slice::from_ref(&announced)).unwrap(), 7);
        assert_eq!(
            length(&[announced, (header::CONTENT_ENCODING, "gzip")]).unwrap(),
            100
        );
        assert_eq!(length(&[]).unwrap(), 100);
        assert_eq!(length(&[(header::CONTENT_LENGTH, "x")]).unwrap(), 100);
        assert!(length(&[(header::CONTENT_LENGTH, "101")]).is_err());
    }

    #[test]
    fn a_byte_order_mark_is_removed() {
        let bytes = Bytes::from_static(b"\xef\xbb\xbf{}");
        assert_eq!(without_byte_order_mark(bytes), "{}");
        assert_eq!(without_byte_order_mark(Bytes::from_static(b"{}")), "{}");
    }
}
