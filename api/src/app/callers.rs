//! Refuses requests to other hosts and from pages of other origins.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::middleware::Next;
use actix_web::{ResponseError, web};

use crate::clip_as_service::websocket;
use crate::http::callers::{Sender, check_origin};
use crate::http::error::ApiError;
use crate::http::state::HttpState;
use crate::rest::openai::{self, OpenAiProblem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Passes requests on that are for this host and from an allowed origin.
pub(super) async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match check(&request) {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(error) => {
            let answer = if openai::is_openai_path(request.path()) {
                OpenAiProblem::from(error).error_response()
            } else {
                error.error_response()
            };
            Ok(request.into_response(answer))
        }
    }
}

fn check(request: &ServiceRequest) -> Result<(), ApiError> {
    let Some(state) = request.app_data::<web::Data<HttpState>>() else {
        return Err(ApiError::Starting("no state".to_owned()));
    };
    let headers = request.headers();
    // HTTP/2 has the host in the URI; HTTP/1.1 may have it in both.
    let authority = request
        .uri()
        .authority()
        .map(actix_web::http::uri::Authority::as_str);
    let host = text(headers, &header::HOST);
    state
        .settings
        .hosts
        .check(authority.into_iter().chain(host))?;
    if request.method().is_safe() && !websocket::is_upgrade(headers) {
        return Ok(());
    }
    let sender = Sender {
        origin: headers
            .get(header::ORIGIN)
            .map(actix_web::http::header::HeaderValue::as_bytes),
        site: headers
            .get(SEC_FETCH_SITE)
            .map(actix_web::http::header::HeaderValue::as_bytes),
    };
    check_origin(sender, authority.or(host), &state.settings.cors_origins)
}

/// A header's value; one that is not text becomes empty, which no host is.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers
        .get(name)
        .map(|value| value.to_str().unwrap_or_default())
}
