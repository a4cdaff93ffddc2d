//! `POST /encode`: vectors for texts and pictures, in order, stored nowhere.

use actix_web::{HttpRequest, HttpResponse, web};
use clipdb_embed::Priority;
use serde::{Deserialize, Serialize};

use super::input::InputBody;
use super::state::{Open, RestState};
use super::{body, large_answer, sole};
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

#[derive(Serialize)]
struct EncodeAnswer {
    dim: usize,
    model: String,
    truncated: Vec<bool>,
    vectors: Vec<Vec<f32>>,
}

async fn encode(
    Open(engine): Open,
    state: web::Data<RestState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let body = body::read_json_text(&engine, &state.settings, &request, payload).await?;
    let (json, _share) = (body.bytes, body.share);
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
    let (vectors, truncated) = encoded
        .into_iter()
        .map(|input| (input.embedding.into_vec(), input.truncated))
        .unzip();
    let card = encoder.card();
    large_answer::ok(EncodeAnswer {
        dim: card.dim,
        model: card.name.clone(),
        truncated,
        vectors,
    })
    .await
}
