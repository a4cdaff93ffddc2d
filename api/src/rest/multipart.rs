//! A multipart body as its parts in memory, within the body's limit.

use actix_multipart::Multipart;
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::body;
use crate::error::ApiError;

pub(in crate::rest) struct FilePart {
    /// The form field's name.
    pub name: String,
    pub filename: Option<String>,
    media_type: Option<String>,
    pub bytes: Bytes,
}

impl FilePart {
    /// A document may name a part by its field or by its file name.
    pub(in crate::rest) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.filename.as_deref() == Some(name)
    }

    pub(in crate::rest) fn is_picture(&self) -> bool {
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
}

/// All parts of the body, at most `limit` bytes together.
pub(in crate::rest) async fn read(
    request: &HttpRequest,
    payload: web::Payload,
    limit: usize,
) -> Result<Vec<FilePart>, ApiError> {
    let mut form = Multipart::new(request.headers(), payload);
    let mut parts = Vec::new();
    let mut total = 0;
    while let Some(field) = form.next().await {
        let mut field = field.map_err(broken)?;
        let disposition = field.content_disposition();
        let name = disposition
            .and_then(|value| value.get_name())
            .unwrap_or_default()
            .to_owned();
        let filename = disposition
            .and_then(|value| value.get_filename())
            .map(str::to_owned);
        let media_type = field
            .content_type()
            .map(|kind| kind.essence_str().to_owned());
        let mut bytes = BytesMut::new();
        while let Some(chunk) = field.next().await {
            let chunk = chunk.map_err(broken)?;
            total += chunk.len();
            if total > limit {
                return Err(body::body_too_large(limit));
            }
            bytes.extend_from_slice(&chunk);
        }
        parts.push(FilePart {
            name,
            filename,
            media_type,
            bytes: bytes.freeze(),
        });
    }
    Ok(parts)
}

fn broken(error: actix_multipart::MultipartError) -> ApiError {
    ApiError::InvalidMultipart(format!("the multipart body is broken: {error}"))
}
