//! `POST /encode`: vectors for texts and pictures, in order, stored nowhere.

use actix_web::{HttpRequest, HttpResponse, web};
use clipdb_embed::{Encoder, Priority};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use serde::Deserialize;
use serde_json::json;

use super::documents::wire::ImageBody;
use super::state::{Open, RestState};
use super::{body, method_not_allowed};
use crate::engine::{blocking, only};
use crate::error::ApiError;

const INPUTS: usize = 1024;
/// Inputs of one request that are in the model's queue at once.
const WINDOW: usize = 64;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/encode")
            .route(web::post().to(encode))
            .default_service(web::to(method_not_allowed)),
    );
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EncodeBody {
    inputs: Vec<InputBody>,
    model: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputBody {
    text: Option<String>,
    image: Option<ImageBody>,
}

enum Input {
    Text(String),
    Image(bytes::Bytes),
}

impl InputBody {
    fn check(self) -> Result<Input, ApiError> {
        match (self.text, self.image) {
            (Some(text), None) => Ok(Input::Text(text)),
            (None, Some(image)) if image.id.is_none() => {
                Ok(Input::Image(image.into_bytes(&mut Vec::new())?))
            }
            _ => Err(ApiError::InvalidField(
                "an input is exactly one of {\"text\"} and {\"image\": {\"base64\"}}".to_owned(),
            )),
        }
    }
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
    let wanted: EncodeBody = body::read_json(&mut payload, limit).await?;
    if wanted.inputs.is_empty() || wanted.inputs.len() > INPUTS {
        return Err(ApiError::InvalidField(format!(
            "'inputs' has {} items; it takes 1 to {INPUTS}",
            wanted.inputs.len()
        )));
    }
    let encoder = match &wanted.model {
        Some(name) => engine.models().named(name)?,
        None => engine.models().default_model(),
    };
    let inputs = wanted.inputs;
    let inputs: Vec<Input> = blocking(move || {
        inputs
            .into_iter()
            .map(InputBody::check)
            .collect::<Result<_, _>>()
    })
    .await??;
    let encoded: Vec<(Vec<f32>, bool)> = iter(inputs)
        .map(|input| encode_one(encoder, input))
        .buffered(WINDOW)
        .try_collect()
        .await?;
    let (vectors, truncated): (Vec<_>, Vec<_>) = encoded.into_iter().unzip();
    let card = encoder.card();
    Ok(HttpResponse::Ok().json(json!({
        "model": card.name,
        "dim": card.dim,
        "vectors": vectors,
        "truncated": truncated,
    })))
}

async fn encode_one(encoder: &Encoder, input: Input) -> Result<(Vec<f32>, bool), ApiError> {
    match input {
        Input::Text(text) => {
            let text = only(encoder.texts(vec![text], Priority::Ingest).await?)?;
            Ok((text.embedding.into_vec(), text.truncated))
        }
        Input::Image(bytes) => Ok((
            encoder
                .image(bytes, Priority::Ingest)
                .await?
                .embedding
                .into_vec(),
            false,
        )),
    }
}
