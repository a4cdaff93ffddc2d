//! `POST /search`, `POST /collections/{name}/search`, `GET /search?q=`.

mod body;
mod response;
mod view;

use std::sync::Arc;

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use serde::Deserialize;

use crate::http::body::{self as request_body, FullBody};
use crate::http::error::ApiError;
use crate::http::exact_json::UniqueValue;
use crate::http::query_string;
use crate::http::state::{HttpSettings, Open, base_path};
use crate::rest::documents::wire::ImageBody;
use crate::rest::multipart;
use crate::rest::multipart::{FilePart, Files};
use crate::rest::path::collection_name;
use crate::rest::search::body::{CutoffBody, ModeBody, SearchBody};
use crate::rest::search::response::{ResponseBody, Shown};
use clipdb_engine::{CollectionName, Engine, Query, blocking};

/// JSON of up to this size is parsed on the async thread, which takes less time than a switch to
/// another thread.
const PARSED_INLINE: usize = 64 << 10;

/// Responds to a search whose body is JSON.
pub(crate) async fn respond(
    engine: &Arc<Engine>,
    name: &CollectionName,
    request: &HttpRequest,
    body: FullBody,
) -> Result<HttpResponse, ApiError> {
    let FullBody {
        bytes: json,
        share: _held,
    } = body;
    let json_bytes = json.len();
    let read = move || parse_request(request_body::parse(&json)?, Files::default());
    let (query, shown) = if json_bytes <= PARSED_INLINE {
        read()?
    } else {
        blocking(read).await??
    };
    run(engine, name, query, &shown, request).await
}

/// Responds to a search whose body is a form with files.
pub(crate) async fn respond_to_form(
    engine: &Arc<Engine>,
    settings: &HttpSettings,
    name: &CollectionName,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (parts, _held) = multipart::read(engine, settings, request, payload).await?;
    let (query, shown) = blocking(move || {
        let (search, files) = search_with_files(parts)?;
        parse_request(search, files)
    })
    .await??;
    run(engine, name, query, &shown, request).await
}

/// The query, and what the response shows.
fn parse_request(search: SearchBody, mut files: Files) -> Result<(Query, Shown), ApiError> {
    if let Some(fields) = &search.fields {
        view::check_shown(fields)?;
    }
    let shown = Shown {
        explain: search.explain,
        fields: search.fields.clone(),
    };
    let query = search.into_query(&mut files)?;
    match files.next_unnamed() {
        None => Ok((query, shown)),
        // Otherwise the part would be ignored silently.
        Some(part) => Err(ApiError::UnnamedPart(part.filename.unwrap_or(part.name))),
    }
}

/// The part `search` has the JSON; a single file is the query itself.
fn search_with_files(mut parts: Vec<FilePart>) -> Result<(SearchBody, Files), ApiError> {
    if let Some(fault) = parts.iter_mut().find_map(|part| part.fault.take()) {
        return Err(ApiError::InvalidMultipart(fault));
    }
    if let Some(at) = parts.iter().position(|part| part.name == "search") {
        let json = request_body::without_byte_order_mark(parts.remove(at).bytes);
        return Ok((request_body::parse(&json)?, Files::new(parts)));
    }
    let [file] = parts.as_slice() else {
        return Err(ApiError::InvalidMultipart(
            "a multipart search must be one file, or a part 'search' with the JSON and the files that it names".to_owned(),
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
        Files::new(parts),
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
    filter: Option<String>,
    typos: Option<bool>,
    min_confidence: Option<f32>,
    cutoff: Option<String>,
    #[serde(default)]
    highlight: bool,
    #[serde(default)]
    explain: bool,
}

/// `GET /search?q=`.
pub(crate) async fn get(
    Open(engine): Open,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let words: WordsQuery = query_string::parse(&request)?;
    let name = match &words.collection {
        Some(name) => collection_name(name)?,
        None => CollectionName::default(),
    };
    let search = SearchBody {
        text: Some(words.q),
        limit: words.limit,
        offset: words.offset,
        mode: words.mode,
        filter: words
            .filter
            .as_deref()
            .map(query_string::parse_filter)
            .transpose()?
            .map(UniqueValue),
        typos: words.typos,
        min_confidence: words.min_confidence,
        cutoff: words
            .cutoff
            .as_deref()
            .map(CutoffBody::from_text)
            .transpose()?,
        highlight: words.highlight,
        ..SearchBody::default()
    };
    run(
        &engine,
        &name,
        search.into_query(&mut Files::default())?,
        &Shown {
            explain: words.explain,
            fields: None,
        },
        &request,
    )
    .await
}

async fn run(
    engine: &Arc<Engine>,
    name: &CollectionName,
    query: Query,
    shown: &Shown,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let collection = engine.collection(name)?;
    let answer = engine.search(&collection, query).await?;
    request.extensions_mut().insert(answer.timings);
    let base = base_path(request);
    Ok(HttpResponse::Ok().json(ResponseBody::new(&base, name, answer, shown)?))
}
