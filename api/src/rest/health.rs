//! `GET /health`, `GET /ready`, `GET /metrics`.

use actix_web::{HttpResponse, web};
use clipdb_engine::EngineError;
use serde_json::json;

use crate::http::error::ApiError;
use crate::http::resource::resource;
use crate::http::state::{HttpState, Open};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/health", web::get().to(health)))
        .service(resource("/ready", web::get().to(ready)))
        .service(resource("/metrics", web::get().to(metrics)));
}

/// The process is alive; `degraded` if it does not serve all its collections, or accepts no writes.
async fn health(state: web::Data<HttpState>) -> HttpResponse {
    let engine = state.engine().ok();
    let (damaged, unavailable) = engine
        .as_ref()
        .map_or((0, 0), |engine| (engine.damaged(), engine.unavailable()));
    let stopped = engine.and_then(|engine| engine.storage_stopped());
    let is_ok = damaged == 0 && unavailable == 0 && stopped.is_none();
    let mut health = json!({
        "status": if is_ok { "ok" } else { "degraded" },
        "version": env!("CARGO_PKG_VERSION"),
        "damaged_collections": damaged,
        "unavailable_collections": unavailable,
        "storage": if stopped.is_none() { "ok" } else { "stopped" },
    });
    if let Some(stopped) = stopped {
        health["storage_stopped"] = json!({
            "reason": stopped.reason, "since": stopped.since,
            "heals": stopped.heals(), "remedy": stopped.remedy(),
        });
    }
    HttpResponse::Ok().json(health)
}

/// 200 once the models are loaded and every collection is recovered, except corrupt ones, and while
/// writes are accepted; 503 otherwise.
async fn ready(Open(engine): Open) -> Result<HttpResponse, ApiError> {
    if let Some(stopped) = engine.storage_stopped() {
        return Err(stopped.error().into());
    }
    let models: Vec<_> = engine
        .models()
        .all()
        .iter()
        .map(|encoder| {
            let card = encoder.card();
            json!({ "name": card.name, "dim": card.dim, "device": card.device, "precision": card.precision, "replicas": card.replicas })
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "status": "ready", "models": models })))
}

async fn metrics(state: web::Data<HttpState>) -> Result<HttpResponse, ApiError> {
    let mut text = state
        .statistics
        .render()
        .map_err(|error| EngineError::Metrics(error.to_string()))?;
    // These exist only once the engine is open.
    if let Ok(engine) = state.engine() {
        text += &engine.models().metrics();
        text += &engine.collection_metrics();
        text += &engine.vector_metrics();
    }
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text))
}
