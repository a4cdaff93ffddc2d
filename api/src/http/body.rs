//! Reading request bodies within their limits, and JSON with clear errors.

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use clipdb_engine::{Engine, Share, blocking};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::http::body_reader::BodyReader;
use crate::http::error::ApiError;
use crate::http::exact_json::check_whole_numbers;
use crate::http::state::RestSettings;
use crate::http::strict_json;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A body that came whole, and its memory, which is to be held for as long as what was made of it.
pub(crate) struct FullBody {
    pub bytes: Bytes,
    pub share: Share,
}

impl FullBody {
    /// Parses the body on the thread pool for blocking work; the memory remains counted.
    pub(crate) async fn parse<T>(self) -> Result<(T, Share), ApiError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let Self { bytes, share } = self;
        let value = blocking(move || parse(&bytes)).await??;
        Ok((value, share))
    }
}

/// The whole body, at most `max_body_bytes`, however it is encoded.
pub(crate) async fn read_full(
    engine: &Engine,
    settings: &RestSettings,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<FullBody, ApiError> {
    let limit = settings.max_body_bytes;
    let mut share = engine.admit_growing(announced_length(request, limit)?);
    let body = BodyReader::open(engine, request, payload, settings.pace).await?;
    let bytes = body.read_to_end(&mut share, limit).await?;
    Ok(FullBody { bytes, share })
}

/// The same of a route that takes JSON alone, without its byte order mark.
pub(crate) async fn read_json_text(
    engine: &Engine,
    settings: &RestSettings,
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

/// The most bytes that the body may have: as many as the client says, where it is not
/// compressed, or the limit.
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

/// The media type without its parameters, in lower case; empty when there is none.
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

/// A JSON body as `T`, and its memory.
pub(crate) async fn read_json<T: DeserializeOwned + Send + 'static>(
    engine: &Engine,
    settings: &RestSettings,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(T, Share), ApiError> {
    let body = read_json_text(engine, settings, request, payload).await?;
    body.parse().await
}

/// The same of what is stored: without numbers that would change on the way.
pub(crate) async fn read_strict_json<T: DeserializeOwned + Send + 'static>(
    engine: &Engine,
    settings: &RestSettings,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(T, Share), ApiError> {
    let FullBody { bytes, share } = read_json_text(engine, settings, request, payload).await?;
    let read = move || {
        let value = parse(&bytes)?;
        check_whole_numbers(&bytes)?;
        Ok::<_, ApiError>(value)
    };
    Ok((blocking(read).await??, share))
}

/// JSON as `T`; what is wrong is told with its field and its place.
pub(crate) fn parse<'json, T: Deserialize<'json>>(json: &'json [u8]) -> Result<T, ApiError> {
    strict_json::read(json).map_err(ApiError::from)
}

/// For a field that has a default: null is as if it was not there.
pub(crate) fn null_is_absent<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
