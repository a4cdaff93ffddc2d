//! Ingests the four forms of a body (an object, an array, NDJSON, multipart) as one stream.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::body;
use crate::http::body::is_ndjson;
use crate::http::error::ApiError;
use crate::http::peer::Peer;
use crate::http::state::HttpSettings;
use crate::rest::documents::reader::DocumentReader;
use crate::rest::documents::{background, ndjson, results};
use crate::rest::{multipart, tasks};
use clipdb_engine::{Collection, Engine, blocking};

const ACCEPTED: &str = "application/json, application/x-ndjson, multipart/form-data";

pub(super) async fn ingest(
    engine: &Arc<Engine>,
    collection: &Arc<Collection>,
    settings: &HttpSettings,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let wait = tasks::waits(request)?;
    let kind = body::media_type(request);
    if is_ndjson(&kind) {
        let lines = ndjson::read(engine, settings, request, payload).await?;
        if !wait {
            return background::lines(engine, collection, lines).await;
        }
        let outcomes = engine.ingest(collection, lines);
        let results = results::collect_for(Peer::of(request), engine, outcomes).await?;
        return Ok(results.respond_to_stream());
    }
    // The body's memory is held until its last document is stored.
    let (reader, share) = match kind.as_str() {
        "application/json" | "text/json" | "" => {
            let body = body::read_json_text(engine, settings, request, payload).await?;
            let json = body.bytes;
            let reader = blocking(move || DocumentReader::of_json(json)).await??;
            (reader, body.share)
        }
        "multipart/form-data" => {
            let (parts, share) = multipart::read(engine, settings, request, payload).await?;
            let reader = blocking(move || DocumentReader::of_form(parts)).await??;
            (reader, share)
        }
        _ => return Err(ApiError::UnsupportedMediaType(kind, ACCEPTED)),
    };
    if !wait {
        return background::batch(engine, collection, reader, share);
    }
    let request = reader.request();
    let outcomes = engine.ingest(collection, reader.stream());
    let results = results::collect(engine, outcomes).await?;
    drop(share);
    Ok(results.respond(request))
}
