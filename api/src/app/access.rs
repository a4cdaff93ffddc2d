//! The API key, where one is set: `Authorization: Bearer KEY`, which CLIP-as-service's
//! clients send without `Bearer`.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{ResponseError, web};

use crate::clip_as_service::{http, websocket};
use crate::http::error::ApiError;
use crate::http::state::RestState;
use crate::rest::openai;
use crate::rest::openai::OpenAiProblem;
use crate::rest::page;

/// Answers 401 unless the request carries the key or asks for something public.
pub(crate) async fn require_key(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if is_public(&request) || carries_key(&request) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let answer = if openai::is_openai_path(request.path()) {
        OpenAiProblem::from(ApiError::Unauthorized).error_response()
    } else {
        ApiError::Unauthorized.error_response()
    };
    Ok(request.into_response(answer).map_into_boxed_body())
}

/// Liveness, readiness and the page's own files need no key. A browser's question what another
/// origin may do (`OPTIONS`) is answered before, without a look at the path.
fn is_public(request: &ServiceRequest) -> bool {
    matches!(request.path(), "/health" | "/ready")
        || (page::is_page_file(request.path()) && !websocket::is_upgrade(request.headers()))
}

fn carries_key(request: &ServiceRequest) -> bool {
    let Some(state) = request.app_data::<web::Data<RestState>>() else {
        return false;
    };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bare = http::is_door(request.path()) || websocket::is_upgrade(request.headers());
    state.settings.admits(given, bare)
}
