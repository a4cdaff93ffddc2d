//! The REST API: JSON over the engine, the page and the OpenAI-compatible routes.
//!
//! Handlers are thin: they parse, call one engine function, and map the result. Decisions belong to
//! the engine, the toolkit is [`crate::http`], and `app` declares the routes that CLIP-as-service
//! has too.

mod collections;
mod conditional;
mod disposition;
mod documents;
pub(crate) mod encode;
mod file_stream;
mod health;
mod input;
mod large_response;
mod multipart;
pub(crate) mod openai;
pub(crate) mod page;
pub(crate) mod path;
pub(crate) mod rank;
pub(crate) mod search;
mod snapshots;
mod tasks;
mod vector;

use actix_web::web;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    // In the order of their use: actix compares a request with one after the other.
    documents::routes(config);
    collections::routes(config);
    health::routes(config);
    snapshots::routes(config);
    tasks::routes(config);
    openai::routes(config);
    page::routes(config);
}
