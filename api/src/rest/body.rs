//! Reading request bodies within their limits, and JSON with clear errors.

use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::shape::{self, Misread};
use crate::engine::blocking;
use crate::error::ApiError;
use crate::quoted::quoted;

/// A client that sends nothing for this long has its request ended.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn next_chunk(payload: &mut web::Payload) -> Result<Option<Bytes>, ApiError> {
    match tokio::time::timeout(PATIENCE, payload.next()).await {
        Err(_) => Err(ApiError::BrokenBody(format!(
            "nothing came for {} seconds",
            PATIENCE.as_secs()
        ))),
        Ok(None) => Ok(None),
        Ok(Some(chunk)) => chunk
            .map(Some)
            .map_err(|error| ApiError::BrokenBody(error.to_string())),
    }
}

/// The whole body, at most `limit` bytes.
pub(crate) async fn read_whole(
    payload: &mut web::Payload,
    limit: usize,
) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = next_chunk(payload).await? {
        if whole.len() + chunk.len() > limit {
            return Err(body_too_large(limit));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

pub(crate) fn body_too_large(limit: usize) -> ApiError {
    ApiError::TooLarge {
        what: "the request body",
        limit: limit as u64,
        setting: "max_body_bytes",
    }
}

/// How many bytes the client says it sends, or the limit when it does not say.
pub(crate) fn announced_length(request: &HttpRequest, limit: usize) -> Result<usize, ApiError> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    match announced {
        Some(length) if length > limit => Err(body_too_large(limit)),
        Some(length) => Ok(length),
        None => Ok(limit),
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

/// A JSON body of at most `limit` bytes as `T`.
pub(crate) async fn read_json<T: DeserializeOwned + Send + 'static>(
    payload: &mut web::Payload,
    limit: usize,
) -> Result<T, ApiError> {
    let whole = read_whole(payload, limit).await?;
    blocking(move || parse(&whole)).await?
}

/// JSON as `T`; what is wrong is told with its field and its place.
pub(crate) fn parse<'json, T: Deserialize<'json>>(json: &'json [u8]) -> Result<T, ApiError> {
    shape::read(json).map_err(|Misread { error, field }| {
        let named = |message: String| match field.is_empty() {
            true => message,
            false => format!("'{}': {message}", quoted(&field)),
        };
        match json_error(error) {
            ApiError::InvalidField(message) => ApiError::InvalidField(named(message)),
            ApiError::UnknownField(message) => ApiError::UnknownField(named(message)),
            error => error,
        }
    })
}

pub(crate) fn json_error(error: serde_json::Error) -> ApiError {
    let message = error
        .to_string()
        .replacen("expected ident", "expected true, false or null", 1)
        .replacen("invalid type: sequence", "invalid type: a list", 1)
        .replacen("invalid type: map", "invalid type: an object", 1);
    if !error.is_data() {
        ApiError::InvalidJson(message)
    } else if shape::is_unknown_field(&error) {
        ApiError::UnknownField(message)
    } else {
        ApiError::InvalidField(message)
    }
}

/// For a field that has a default: null is as if it was not there.
pub(crate) fn null_is_absent<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
