//! `POST /encode`: embeds texts and images, in order, without storing them.

use actix_web::HttpResponse;
use clipdb_engine::{Engine, Priority};
use serde::{Deserialize, Serialize};

use crate::http::body::FullBody;
use crate::http::error::ApiError;
use crate::rest::input::{self, InputBody};
use crate::rest::large_response;

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

pub(crate) async fn respond(engine: &Engine, body: FullBody) -> Result<HttpResponse, ApiError> {
    let (EncodeBody { inputs, model }, _share) = body.parse().await?;
    input::check_count("inputs", inputs.len())?;
    let encoder = engine.models().chosen(model.as_deref())?;
    let inputs = input::resolve(inputs).await?;
    let encoded = engine.encode(encoder, inputs, Priority::Ingest).await?;
    let (vectors, truncated) = encoded
        .into_iter()
        .map(|input| (input.embedding.into_vec(), input.truncated))
        .unzip();
    let card = encoder.card();
    large_response::ok(EncodeAnswer {
        dim: card.dim,
        model: card.name.clone(),
        truncated,
        vectors,
    })
    .await
}
