//! `POST /encode`: vectors for texts and pictures, in order, stored nowhere.

use actix_web::{HttpRequest, HttpResponse, web};
use clipdb_embed::Priority;
use serde::Deserialize;
use serde_json::json;

use super::input::InputBody;
use super::state::{Open, RestState};
use super::{body, sole};
use crate::clip_as_service::http;
use crate::engine::{Input, blocking};
use crate::error::ApiError;

const INPUTS: usize = 1024;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(sole("/encode", web::post().to(encode)));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EncodeBody {
    inputs: Vec<InputBody>,
    model: Option<String>,
}

async fn encode(
    Open(engine): Open,
    state: web::Data<RestState>,
    request: HttpRequest,
    mut payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let limit = state.settings.max_body_bytes;
    let _share = engine
        .admit(body::announced_length(&request, limit)?)
        .await?;
    let json = body::read_whole(&mut payload, limit).await?;
    if http::is_request(&json) {
        return http::respond(engine, &state, &request, json).await;
    }
    let EncodeBody { inputs, model } = blocking(move || body::parse(&json)).await??;
    if inputs.is_empty() || inputs.len() > INPUTS {
        return Err(ApiError::InvalidField(format!(
            "'inputs' has {} items; it takes 1 to {INPUTS}",
            inputs.len()
        )));
    }
    let encoder = engine.models().chosen(model.as_deref())?;
    let check = move || inputs.into_iter().map(InputBody::check).collect();
    let inputs = blocking::<Result<Vec<Input>, ApiError>>(check).await??;
    let encoded = engine.encode(encoder, inputs, Priority::Ingest).await?;
    let (vectors, truncated): (Vec<_>, Vec<_>) = encoded
        .into_iter()
        .map(|input| (input.embedding.into_vec(), input.truncated))
        .unzip();
    let card = encoder.card();
    Ok(HttpResponse::Ok().json(json!({
        "model": card.name,
        "dim": card.dim,
        "vectors": vectors,
        "truncated": truncated,
    })))
}
