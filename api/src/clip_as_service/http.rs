//! The HTTP door: `POST /post`, which takes every call, and `POST /index`.
//!
//! The client looks at `GET /openapi.json` and sends a call to the path of its name where
//! that lists one, else to `/post`. `/encode`, `/rank` and `/search` are the REST API's
//! own, so these hand over ([`respond`]) what begins as a request of this protocol.

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
use crate::http::state::Open;
use crate::http::state::RestState;
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

/// Whether `path` may be one of this door's, where the key comes without `Bearer`.
pub(crate) fn is_door(path: &str) -> bool {
    matches!(
        path,
        POST | "/index" | "/dry_run" | "/encode" | "/rank" | "/search"
    )
}

async fn post(
    Open(engine): Open,
    state: web::Data<RestState>,
    statistics: web::Data<CallStatistics>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let body = body::read_json_text(&engine, &state.settings, &request, payload).await?;
    let (json, _share) = (body.bytes, body.share);
    respond(engine, &state, &statistics, &request, json).await
}

/// Answers a request that came as JSON. Its failure is an answer too, of status 200, as
/// CLIP-as-service has it; another status says that there was no request.
pub(crate) async fn respond(
    engine: Arc<Engine>,
    state: &RestState,
    statistics: &CallStatistics,
    request: &HttpRequest,
    json: Bytes,
) -> Result<HttpResponse, ApiError> {
    let received = SystemTime::now();
    // A page of another origin can send a body unasked, but not under this type.
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

/// Whether the executors answer, which here are the server itself.
async fn dry_run(_: Open) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(SUCCESS)
}
