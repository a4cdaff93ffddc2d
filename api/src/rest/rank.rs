//! `POST /rank`: candidates, texts or pictures, by how well they fit a query.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};

use crate::http::body::{self, Whole};
use crate::http::error::ApiError;
use crate::rest::input::InputBody;
use clipdb_engine::{Engine, Input, blocking};

const CANDIDATES: usize = 1024;

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
    /// The query was longer than the model reads.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

#[derive(Serialize)]
struct Candidate {
    /// Its place in the request.
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    cosine: f32,
    probability: f32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

pub(crate) async fn answer(engine: &Engine, body: Whole) -> Result<HttpResponse, ApiError> {
    let Whole {
        bytes: json,
        share: _held,
    } = body;
    let wanted: RankBody = blocking(move || body::parse(&json)).await??;
    if wanted.candidates.is_empty() || wanted.candidates.len() > CANDIDATES {
        return Err(ApiError::InvalidField(format!(
            "'candidates' has {} items; it takes 1 to {CANDIDATES}",
            wanted.candidates.len()
        )));
    }
    let encoder = engine.models().chosen(wanted.model.as_deref())?;
    let (query, candidates) = blocking(move || check(wanted.query, wanted.candidates)).await??;
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

fn check(query: InputBody, candidates: Vec<InputBody>) -> Result<(Input, Vec<Input>), ApiError> {
    let candidates = candidates.into_iter().map(InputBody::check);
    Ok((query.check()?, candidates.collect::<Result<_, _>>()?))
}
