//! Which responses are compressed: those that are long enough to gain by it.

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;

/// Bytes below which a body fits into one packet with its head: compressing it costs time on
/// both sides and saves nothing.
const SHORTEST: u64 = 1400;

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// Marks short bodies, inside of actix's `Compress`, as what is not to be compressed.
pub(crate) async fn leave_short<B: MessageBody>(
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

/// Removes that mark again, outside of `Compress`: no client has to know it.
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
