//! The API key, where one is set: `Authorization: Bearer KEY`.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::Next;
use actix_web::{ResponseError, web};

use super::openai::{self, OpenAiProblem};
use super::page;
use super::state::RestState;
use crate::error::ApiError;

/// Answers 401 unless the request carries the key or asks for something public.
pub(super) async fn require_key(
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

/// Liveness, readiness and the page's own files need no key; a browser sends none with OPTIONS.
fn is_public(request: &ServiceRequest) -> bool {
    request.method() == Method::OPTIONS
        || matches!(request.path(), "/health" | "/ready")
        || page::is_page_file(request.path())
}

fn carries_key(request: &ServiceRequest) -> bool {
    let Some(state) = request.app_data::<web::Data<RestState>>() else {
        return false;
    };
    let Some(key) = &state.settings.api_key else {
        return true;
    };
    request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .is_some_and(|(scheme, given)| {
            scheme.eq_ignore_ascii_case("bearer") && key.matches(given.trim())
        })
}
