//! `GET /v1/models` and `GET /v1/models/{id}`: the loaded models.

use actix_web::{HttpResponse, web};
use clipdb_engine::{ModelCard, Models};
use serde_json::{Value, json};

use crate::http::error::ApiError;
use crate::http::state::Open;
use crate::rest::openai::OpenAiProblem;

pub(super) async fn list(opened: Result<Open, ApiError>) -> Result<HttpResponse, OpenAiProblem> {
    let Open(engine) = opened?;
    let models = engine.models();
    let data: Vec<Value> = models
        .all()
        .iter()
        .map(|encoder| model(models, encoder.card()))
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "object": "list", "data": data })))
}

pub(super) async fn show(
    opened: Result<Open, ApiError>,
    id: web::Path<String>,
) -> Result<HttpResponse, OpenAiProblem> {
    let Open(engine) = opened?;
    let models = engine.models();
    let encoder = models.named(&id)?;
    Ok(HttpResponse::Ok().json(model(models, encoder.card())))
}

/// OpenAI's fields, then those of this server.
fn model(models: &Models, card: &ModelCard) -> Value {
    json!({
        "id": card.name,
        "object": "model",
        "created": models.loaded_at(),
        "owned_by": "clipdb",
        "dimensions": card.dim,
        "context_length": card.context_length,
        "image_size": card.has_image.then_some(card.image_size),
        "license": card.license,
    })
}
