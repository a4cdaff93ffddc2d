//! `POST /rank`: orders texts or images by their similarity to a query.

use std::iter;

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};

use crate::http::body::FullBody;
use crate::http::error::ApiError;
use crate::rest::input::{self, InputBody};
use clipdb_engine::{Engine, Input};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RankBody {
    query: InputBody,
    candidates: Vec<InputBody>,
    model: Option<String>,
}

#[derive(Serialize)]
struct RankAnswer {
    model: String,
    candidates: Vec<Candidate>,
    /// The query was longer than the model's context.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

#[derive(Serialize)]
struct Candidate {
    /// Its position in the request.
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    cosine: f32,
    probability: f32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

pub(crate) async fn respond(engine: &Engine, body: FullBody) -> Result<HttpResponse, ApiError> {
    let (request, _share): (RankBody, _) = body.parse().await?;
    input::check_count("candidates", request.candidates.len())?;
    let encoder = engine.models().chosen(request.model.as_deref())?;
    let inputs = iter::once(request.query).chain(request.candidates);
    let mut inputs = input::resolve(inputs.collect()).await?.into_iter();
    let query = inputs.next().ok_or(ApiError::EmptyQuery)?;
    let candidates: Vec<Input> = inputs.collect();
    let mut texts: Vec<Option<String>> = candidates
        .iter()
        .map(|candidate| match candidate {
            Input::Text(text) => Some(text.clone()),
            Input::Image(_) => None,
        })
        .collect();
    let ranking = engine.rank(encoder, query, candidates).await?;
    let candidates = ranking.best_first.into_iter().map(|ranked| Candidate {
        index: ranked.index,
        text: texts[ranked.index].take(),
        cosine: ranked.cosine,
        probability: ranked.probability,
        truncated: ranking.truncated[ranked.index],
    });
    Ok(HttpResponse::Ok().json(RankAnswer {
        model: encoder.card().name.clone(),
        candidates: candidates.collect(),
        truncated: ranking.query_truncated,
    }))
}
