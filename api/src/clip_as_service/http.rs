//! The protocol over HTTP: `POST /post`, which accepts every call, and `POST /index`.
//!
//! The client reads `GET /openapi.json` and sends a call to the path of its name if there is one,
//! otherwise to `/post`. The paths `/encode`, `/rank` and `/search` belong to the REST API, so
//! `app::shared_paths` passes requests of this protocol to [`respond`].

use std::sync::Arc;
use std::time::SystemTime;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;

use crate::clip_as_service::executor::Executor;
use crate::clip_as_service::message::{SUCCESS, request_from_json, response_to_json};
use crate::clip_as_service::metrics::CallStatistics;
use crate::clip_as_service::websocket;
use crate::http::body;
use crate::http::error::ApiError;
use crate::http::resource::resource;
use crate::http::state::HttpState;
use crate::http::state::Open;
use clipdb_engine::{Engine, blocking};

pub(crate) use crate::clip_as_service::endpoint::refused;
pub(crate) use crate::clip_as_service::message::is_request;

const POST: &str = "/post";

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource(POST, web::post().to(post)))
        .service(resource("/index", web::post().to(post)))
        .service(resource("/dry_run", websocket::dry_run()).route(web::get().to(dry_run)));
}

/// Whether `path` may be one of this protocol's, whose clients send the key without `Bearer`.
pub(crate) fn is_call_path(path: &str) -> bool {
    matches!(
        path,
        POST | "/index" | "/dry_run" | "/encode" | "/rank" | "/search"
    )
}

async fn post(
    Open(engine): Open,
    state: web::Data<HttpState>,
    statistics: web::Data<CallStatistics>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let body = body::read_json_text(&engine, &state.settings, &request, payload).await?;
    let (json, _share) = (body.bytes, body.share);
    respond(engine, &state, &statistics, &request, json).await
}

/// Responds to a request in JSON. A failed call has the status 200 too, as in CLIP-as-service;
/// any other status means that the body was not a request.
pub(crate) async fn respond(
    engine: Arc<Engine>,
    state: &HttpState,
    statistics: &CallStatistics,
    request: &HttpRequest,
    json: Bytes,
) -> Result<HttpResponse, ApiError> {
    let received = SystemTime::now();
    // A page of another origin can send a body without a preflight, but not with this type.
    if body::media_type(request) != "application/json" {
        let given = body::media_type(request);
        return Err(ApiError::UnsupportedMediaType(given, "application/json"));
    }
    let mut message = blocking(move || request_from_json(&json)).await??;
    let header = message.header.get_or_insert_default();
    if header.exec_endpoint.is_none() && request.path() != POST {
        header.exec_endpoint = Some(request.path().to_owned());
    }
    let settings = state.settings.clip_as_service.clone();
    let executor = Executor::new(engine, settings, statistics.clone());
    let response = executor.execute(message, received).await;
    let json = blocking(move || response_to_json(&response)).await??;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(json))
}

/// Whether the executors are ready, which means the server itself.
async fn dry_run(_: Open) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(SUCCESS)
}
