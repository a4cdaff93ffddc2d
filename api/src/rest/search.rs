//! `POST /search`, `POST /collections/{name}/search`, `GET /search?q=`.

use std::sync::Arc;

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use clipdb_index::ListKind;
use clipdb_index::fusion::{self, Fusion, Method, Weights};
use serde::Deserialize;
use serde_json::{Value, json};

use super::collections::collection_name;
use super::documents::wire::{DocumentAnswer, ImageBody};
use super::multipart::FilePart;
use super::state::{Open, RestState};
use super::{body, method_not_allowed, multipart, query_string};
use crate::CollectionName;
use crate::clip_as_service::http;
use crate::engine::query::{Content, Mode, Part, Query, Targets};
use crate::engine::{Answer, Engine, Hit, blocking};
use crate::error::ApiError;

const LIMIT: usize = 1000;
const OFFSET: usize = 10_000;
const PARTS: usize = 32;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/search")
                .route(web::post().to(search_default))
                .route(web::get().to(search_by_words))
                .default_service(web::to(method_not_allowed)),
        )
        .service(
            web::resource("/collections/{name}/search")
                .route(web::post().to(search))
                .default_service(web::to(method_not_allowed)),
        );
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchBody {
    text: Option<String>,
    image: Option<ImageBody>,
    vector: Option<Vec<f32>>,
    query: Option<Vec<PartBody>>,
    mode: Option<ModeBody>,
    keywords: Option<String>,
    targets: Option<Vec<TargetBody>>,
    fusion: Option<FusionBody>,
    limit: Option<usize>,
    offset: Option<usize>,
    min_score: Option<f32>,
    #[serde(default)]
    explain: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartBody {
    text: Option<String>,
    image: Option<ImageBody>,
    vector: Option<Vec<f32>>,
    weight: Option<f32>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModeBody {
    Hybrid,
    Vector,
    Keyword,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TargetBody {
    Image,
    Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FusionBody {
    method: Option<MethodBody>,
    k: Option<f64>,
    #[serde(default)]
    weights: WeightsBody,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MethodBody {
    Rrf,
    Linear,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WeightsBody {
    image: Option<f64>,
    text: Option<f64>,
    keyword: Option<f64>,
}

async fn search_default(
    open: Open,
    state: web::Data<RestState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let name = CollectionName::default();
    answer(open, &state, name, &request, payload).await
}

async fn search(
    open: Open,
    state: web::Data<RestState>,
    name: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let name = collection_name(&name)?;
    answer(open, &state, name, &request, payload).await
}

async fn answer(
    Open(engine): Open,
    state: &RestState,
    name: CollectionName,
    request: &HttpRequest,
    mut payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let limit = state.settings.max_body_bytes;
    let _share = engine
        .admit(body::announced_length(request, limit)?)
        .await?;
    let (search, mut files) = if body::media_type(request) == "multipart/form-data" {
        search_with_files(multipart::read(request, payload, limit).await?)?
    } else {
        let json = body::read_whole(&mut payload, limit).await?;
        if http::is_request(&json) {
            return http::respond(engine, state, request, json).await;
        }
        (
            blocking(move || body::parse::<SearchBody>(&json)).await??,
            Vec::new(),
        )
    };
    let explain = search.explain;
    let query = blocking(move || search.into_query(&mut files)).await??;
    run(&engine, &name, query, explain, request).await
}

/// The part `search` holds the JSON; a file alone is searched by.
fn search_with_files(mut files: Vec<FilePart>) -> Result<(SearchBody, Vec<FilePart>), ApiError> {
    if let Some(at) = files.iter().position(|file| file.name == "search") {
        let json = files.remove(at).bytes;
        return Ok((body::parse(&json)?, files));
    }
    let [file] = files.as_slice() else {
        return Err(ApiError::InvalidMultipart(
            "a multipart search is one file, or a part 'search' with the JSON and the files it names".to_owned(),
        ));
    };
    let image = ImageBody {
        base64: None,
        url: None,
        file: Some(file.name.clone()),
        id: None,
    };
    Ok((
        SearchBody {
            image: Some(image),
            ..SearchBody::default()
        },
        files,
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WordsQuery {
    q: String,
    collection: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
    mode: Option<ModeBody>,
    #[serde(default)]
    explain: bool,
}

async fn search_by_words(
    Open(engine): Open,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let words: WordsQuery = query_string(&request)?;
    let name = match &words.collection {
        Some(name) => collection_name(name)?,
        None => CollectionName::default(),
    };
    let search = SearchBody {
        text: Some(words.q),
        limit: words.limit,
        offset: words.offset,
        mode: words.mode,
        ..SearchBody::default()
    };
    run(
        &engine,
        &name,
        search.into_query(&mut Vec::new())?,
        words.explain,
        &request,
    )
    .await
}

async fn run(
    engine: &Arc<Engine>,
    name: &CollectionName,
    query: Query,
    explain: bool,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let collection = engine.collection(name)?;
    let answer = engine.search(&collection, query).await?;
    request.extensions_mut().insert(answer.timings);
    Ok(HttpResponse::Ok().json(answer_json(name, answer, explain)))
}

fn answer_json(name: &CollectionName, answer: Answer, explain: bool) -> Value {
    let took_ms = answer.timings.total_us as f64 / 1e3;
    let hits: Vec<Value> = answer
        .hits
        .into_iter()
        .map(|hit| hit_json(name, hit, explain))
        .collect();
    let mut json = json!({
        "hits": hits,
        "total": { "value": answer.total, "kind": answer.total_kind },
        "took_ms": took_ms,
        "timings": answer.timings,
    });
    if answer.truncated {
        json["truncated"] = Value::Bool(true);
    }
    json
}

fn hit_json(name: &CollectionName, hit: Hit, explain: bool) -> Value {
    let document = DocumentAnswer::new(name, hit.document);
    let mut json = json!({
        "id": document.id,
        "score": hit.score,
        "text": document.text,
        "image": document.image,
        "metadata": document.metadata,
    });
    if explain {
        let parts: Vec<Value> = hit.parts.iter().map(part_json).collect();
        json["explain"] = json!({ "score": hit.score, "parts": parts });
    }
    json
}

fn part_json(part: &fusion::Part) -> Value {
    let list = match part.list {
        ListKind::Image => "image",
        ListKind::Text => "text",
        ListKind::Keyword => "keyword",
    };
    json!({
        "list": list,
        "rank": part.rank,
        "raw": part.raw_score,
        "place": part.place,
        "closeness": part.closeness,
        "weight": part.weight,
        "contribution": part.contribution,
    })
}

impl SearchBody {
    fn into_query(self, files: &mut Vec<FilePart>) -> Result<Query, ApiError> {
        let mut parts = Vec::new();
        push_parts(&mut parts, self.text, self.image, self.vector, 1.0, files)?;
        let lone = parts.len();
        for part in self.query.unwrap_or_default() {
            let before = parts.len();
            push_parts(
                &mut parts,
                part.text,
                part.image,
                part.vector,
                part.weight.unwrap_or(1.0),
                files,
            )?;
            if parts.len() != before + 1 {
                return Err(invalid(
                    "each part of 'query' is exactly one of 'text', 'image' and 'vector'",
                ));
            }
        }
        if lone > 1 || (lone == 1 && parts.len() > 1) {
            return Err(invalid(
                "'text', 'image' and 'vector' exclude each other; combine them in a 'query' list",
            ));
        }
        if parts.len() > PARTS {
            return Err(invalid(&format!(
                "'query' has {} parts; it may have {PARTS}",
                parts.len()
            )));
        }
        let keywords = self.keywords.filter(|words| !words.trim().is_empty());
        let has_words = keywords.is_some()
            || parts
                .iter()
                .any(|part| part.weight > 0.0 && matches!(part.content, Content::Text(_)));
        let mode = match self.mode {
            Some(ModeBody::Hybrid) => Mode::Hybrid,
            Some(ModeBody::Vector) => Mode::Vector,
            Some(ModeBody::Keyword) => Mode::Keyword,
            // Words alone have no vector to be compared by.
            None if parts.is_empty() => Mode::Keyword,
            None if has_words => Mode::Hybrid,
            None => Mode::Vector,
        };
        if parts.is_empty() && (mode != Mode::Keyword || !has_words) {
            return Err(ApiError::EmptyQuery);
        }
        if mode == Mode::Keyword && !has_words {
            return Err(invalid("mode 'keyword' needs words: 'text' or 'keywords'"));
        }
        let query = Query {
            parts,
            keywords,
            mode,
            targets: targets(self.targets)?,
            fusion: fusion(self.fusion)?,
            limit: self.limit.unwrap_or(10),
            offset: self.offset.unwrap_or(0),
            min_score: self.min_score,
        };
        if !(1..=LIMIT).contains(&query.limit) {
            return Err(invalid(&format!(
                "'limit' is {}; it goes from 1 to {LIMIT}",
                query.limit
            )));
        }
        if query.offset > OFFSET {
            return Err(invalid(&format!(
                "'offset' is {}; it goes to {OFFSET}",
                query.offset
            )));
        }
        Ok(query)
    }
}

fn push_parts(
    parts: &mut Vec<Part>,
    text: Option<String>,
    image: Option<ImageBody>,
    vector: Option<Vec<f32>>,
    weight: f32,
    files: &mut Vec<FilePart>,
) -> Result<(), ApiError> {
    if !weight.is_finite() || weight == 0.0 {
        return Err(invalid("a 'weight' is a number other than zero"));
    }
    if let Some(text) = text {
        if text.trim().is_empty() {
            return Err(ApiError::EmptyQuery);
        }
        parts.push(Part {
            content: Content::Text(text),
            weight,
        });
    }
    match image {
        None => {}
        Some(ImageBody {
            id: Some(id),
            base64: None,
            url: None,
            file: None,
        }) => {
            parts.push(Part {
                content: Content::ImageOf(id.parse()?),
                weight,
            });
        }
        Some(ImageBody { id: Some(_), .. }) => {
            return Err(invalid(
                "an image is exactly one of {\"base64\"}, {\"url\"}, {\"file\"} and {\"id\"}",
            ));
        }
        Some(image) => parts.push(Part {
            content: Content::Image(image.into_bytes(files)?),
            weight,
        }),
    }
    if let Some(vector) = vector {
        parts.push(Part {
            content: Content::Vector(vector),
            weight,
        });
    }
    Ok(())
}

fn targets(wanted: Option<Vec<TargetBody>>) -> Result<Targets, ApiError> {
    let Some(wanted) = wanted else {
        return Ok(Targets::BOTH);
    };
    if wanted.is_empty() {
        return Err(invalid("'targets' names 'image', 'text' or both"));
    }
    Ok(Targets {
        image: wanted.contains(&TargetBody::Image),
        text: wanted.contains(&TargetBody::Text),
    })
}

fn fusion(wanted: Option<FusionBody>) -> Result<Fusion, ApiError> {
    let Some(wanted) = wanted else {
        return Ok(Fusion::default());
    };
    let method = match (wanted.method, wanted.k) {
        (Some(MethodBody::Linear), Some(_)) => {
            return Err(invalid("'k' belongs to the method 'rrf'"));
        }
        (Some(MethodBody::Linear), None) => Method::Linear,
        (Some(MethodBody::Rrf) | None, None) => Method::default(),
        (Some(MethodBody::Rrf) | None, Some(k)) => Method::Rrf { k },
    };
    let defaults = Weights::default();
    let weights = Weights {
        image: wanted.weights.image.unwrap_or(defaults.image),
        text: wanted.weights.text.unwrap_or(defaults.text),
        keyword: wanted.weights.keyword.unwrap_or(defaults.keyword),
    };
    Fusion::new(method, weights)
        .map_err(|error| ApiError::InvalidField(format!("'fusion' is wrong: {error}")))
}

fn invalid(message: &str) -> ApiError {
    ApiError::InvalidField(message.to_owned())
}
