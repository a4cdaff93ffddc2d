//! Only responses that are long enough to benefit are compressed.

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;

/// A body of fewer bytes fits into one packet with its head: compressing it would cost time on
/// both sides and save nothing.
const SHORTEST: u64 = 1400;

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// Marks short bodies as encoded, so that actix's `Compress`, which is outside, skips them.
pub(crate) async fn skip_short_bodies<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let mut answer = next.call(request).await?;
    let is_short =
        matches!(answer.response().body().size(), BodySize::Sized(bytes) if bytes < SHORTEST);
    if is_short && !answer.headers().contains_key(header::CONTENT_ENCODING) {
        answer
            .headers_mut()
            .insert(header::CONTENT_ENCODING, IDENTITY);
    }
    Ok(answer)
}

/// Removes the mark outside of `Compress`.
pub(crate) async fn remove_mark<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let mut answer = next.call(request).await?;
    if answer.headers().get(header::CONTENT_ENCODING) == Some(&IDENTITY) {
        answer.headers_mut().remove(header::CONTENT_ENCODING);
    }
    Ok(answer)
}
