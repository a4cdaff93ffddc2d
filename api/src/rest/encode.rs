//! `POST /encode`: vectors for texts and pictures, in order, stored nowhere.

use actix_web::HttpResponse;
use clipdb_engine::{Engine, Input, Priority, blocking};
use serde::{Deserialize, Serialize};

use crate::http::body::{self, Whole};
use crate::http::error::ApiError;
use crate::rest::input::InputBody;
use crate::rest::large_answer;

const INPUTS: usize = 1024;

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

pub(crate) async fn answer(engine: &Engine, body: Whole) -> Result<HttpResponse, ApiError> {
    let Whole {
        bytes: json,
        share: _held,
    } = body;
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
