//! The paths of both protocols: `POST /encode`, `/rank` and `/search`. A JSON body is read here,
//! once; its first key decides which protocol handles it.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use clipdb_engine::{CollectionName, Engine};

use crate::clip_as_service::{self, CallStatistics};
use crate::http::body::{self, FullBody};
use crate::http::error::ApiError;
use crate::http::resource::resource;
use crate::http::state::{HttpState, Open};
use crate::rest::{encode, path, rank, search};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    // Searches first: actix compares a request with one route after the other.
    config
        .service(
            web::resource("/search")
                .route(web::post().to(post_search))
                .route(web::get().to(search::get)),
        )
        .service(resource(
            "/collections/{name}/search",
            web::post().to(post_search_of),
        ))
        .service(resource("/encode", web::post().to(post_encode)))
        .service(resource("/rank", web::post().to(post_rank)));
}

async fn post_encode(
    open: Open,
    context: Context,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    match read(open, &context, &request, payload).await? {
        Read::Done(response) => Ok(response),
        Read::Rest(engine, body) => encode::respond(&engine, body).await,
    }
}

async fn post_rank(
    open: Open,
    context: Context,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    match read(open, &context, &request, payload).await? {
        Read::Done(response) => Ok(response),
        Read::Rest(engine, body) => rank::respond(&engine, body).await,
    }
}

async fn post_search(
    open: Open,
    context: Context,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    respond_to_search(open, &context, CollectionName::default(), &request, payload).await
}

async fn post_search_of(
    open: Open,
    context: Context,
    name: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let name = path::collection_name(&name)?;
    respond_to_search(open, &context, name, &request, payload).await
}

async fn respond_to_search(
    open: Open,
    context: &Context,
    name: CollectionName,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    if body::media_type(request) == "multipart/form-data" {
        let settings = &context.0.settings;
        return search::respond_to_form(&open.0, settings, &name, request, payload).await;
    }
    match read(open, context, request, payload).await? {
        Read::Done(response) => Ok(response),
        Read::Rest(engine, body) => search::respond(&engine, &name, request, body).await,
    }
}

/// The server's state, and the metrics of CLIP-as-service's calls.
type Context = (web::Data<HttpState>, web::Data<CallStatistics>);

/// A JSON body once its protocol is known.
enum Read {
    /// The response to a request of CLIP-as-service.
    Done(HttpResponse),
    /// A request of the REST API.
    Rest(Arc<Engine>, FullBody),
}

async fn read(
    Open(engine): Open,
    (state, calls): &Context,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Read, ApiError> {
    let body = body::read_json_text(&engine, &state.settings, request, payload).await?;
    if !clip_as_service::http::is_request(&body.bytes) {
        return Ok(Read::Rest(engine, body));
    }
    let FullBody {
        bytes,
        share: _held,
    } = body;
    clip_as_service::http::respond(engine, state, calls, request, bytes)
        .await
        .map(Read::Done)
}
