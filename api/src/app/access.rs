//! The API key, if one is set: `Authorization: Bearer KEY`. CLIP-as-service's clients omit
//! `Bearer`.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{ResponseError, web};

use crate::clip_as_service::{http, websocket};
use crate::http::error::ApiError;
use crate::http::state::HttpState;
use crate::rest::openai;
use crate::rest::openai::OpenAiProblem;
use crate::rest::page;

/// Responds with 401 unless the request has the key or its path is public.
pub(crate) async fn require_key(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if is_public(&request) || has_key(&request) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let answer = if openai::is_openai_path(request.path()) {
        OpenAiProblem::from(ApiError::Unauthorized).error_response()
    } else {
        ApiError::Unauthorized.error_response()
    };
    Ok(request.into_response(answer).map_into_boxed_body())
}

/// Liveness, readiness and the page's own files need no key. A browser's preflight request
/// (`OPTIONS`) is answered by an outer middleware.
fn is_public(request: &ServiceRequest) -> bool {
    matches!(request.path(), "/health" | "/ready")
        || (page::is_page_file(request.path()) && !websocket::is_upgrade(request.headers()))
}

fn has_key(request: &ServiceRequest) -> bool {
    let Some(state) = request.app_data::<web::Data<HttpState>>() else {
        return false;
    };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bare = http::is_call_path(request.path()) || websocket::is_upgrade(request.headers());
    state.settings.admits(given, bare)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_health_and_the_page_are_public() {
        let public = |path: &str, upgrade: bool| {
            let request = TestRequest::with_uri(path);
            let request = match upgrade {
                true => request.insert_header((header::UPGRADE, "websocket")),
                false => request,
            };
            is_public(&request.to_srv_request())
        };
        for path in [
            "/health",
            "/ready",
            "/",
            "/docs",
            "/favicon.ico",
            "/page/page.js",
        ] {
            assert!(public(path, false), "{path}");
        }
        for path in [
            "/metrics",
            "/openapi.json",
            "/collections",
            "/healthy",
            "/pages",
            "/search",
            "/v1/models",
        ] {
            assert!(!public(path, false), "{path}");
        }
        assert!(!public("/", true), "CLIP-as-service's WebSocket");
    }
}
