//! The four ways in (one object, an array, NDJSON, multipart) as one stream of drafts.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::DocumentBody;
use super::{behind, ndjson, results};
use crate::engine::{Collection, Draft, Engine, Incoming, blocking};
use crate::error::ApiError;
use crate::rest::multipart::{self, FilePart};
use crate::rest::{RestSettings, body, query_string};

const TAKES: &str = "application/json, application/x-ndjson, multipart/form-data";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    /// Whether the answer comes when the documents are stored, or as soon as they are taken.
    wait: Option<bool>,
}

/// Drafts that came in one body.
struct Batch {
    items: Vec<Incoming>,
    /// The body was one document, not a list of them.
    single: bool,
}

pub(super) async fn take_in(
    engine: &Arc<Engine>,
    collection: &Arc<Collection>,
    settings: &RestSettings,
    request: &HttpRequest,
    mut payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let limit = settings.max_body_bytes;
    let wait = query_string::<Wait>(request)?.wait.unwrap_or(true);
    let kind = body::media_type(request);
    if matches!(
        kind.as_str(),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl"
    ) {
        let lines = ndjson::read(Arc::clone(engine), payload, settings.max_line_bytes);
        if !wait {
            return behind::lines(engine, collection, lines).await;
        }
        return Ok(results::collect(engine.ingest(collection, lines))
            .await
            .respond(false));
    }
    // Held until the last document of the body is answered.
    let share = engine
        .admit(body::announced_length(request, limit)?)
        .await?;
    let batch = match kind.as_str() {
        "application/json" | "text/json" | "" => {
            let json = body::read_whole(&mut payload, limit).await?;
            blocking(move || from_json(&json, &mut Vec::new())).await??
        }
        "multipart/form-data" => {
            let files = multipart::read(request, payload, limit).await?;
            blocking(move || from_multipart(files)).await??
        }
        _ => return Err(ApiError::UnsupportedMediaType(kind, TAKES)),
    };
    if !wait {
        return behind::batch(engine, collection, batch.items, share);
    }
    let single = batch.single;
    let answer = results::collect(engine.ingest(collection, stream::iter(batch.items))).await;
    drop(share);
    Ok(answer.respond(single))
}

/// One document or an array of them; each is judged alone.
fn from_json(json: &[u8], files: &mut Vec<FilePart>) -> Result<Batch, ApiError> {
    if json.trim_ascii_start().first() == Some(&b'[') {
        let documents: Vec<&RawValue> = body::parse(json)?;
        let items = documents
            .into_iter()
            .map(|document| incoming(document.get().as_bytes(), files))
            .collect();
        Ok(Batch {
            items,
            single: false,
        })
    } else {
        let document: &RawValue = body::parse(json)?;
        Ok(Batch {
            items: vec![incoming(document.get().as_bytes(), files)],
            single: true,
        })
    }
}

/// One document's JSON as an item of the stream.
pub(super) fn incoming(json: &[u8], files: &mut Vec<FilePart>) -> Incoming {
    let parsed = body::parse::<DocumentBody>(json);
    let id = match &parsed {
        Ok(document) => document.id.clone(),
        Err(_) => stated_id(json),
    };
    Incoming {
        id,
        draft: parsed.and_then(|document| document.into_draft(files)),
        share: None,
    }
}

/// The id of a document that is otherwise wrong, so that its failure can name it.
fn stated_id(json: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    value.get("id")?.as_str().map(str::to_owned)
}

/// The part `documents` first (an object, an array or lines), then each file that
/// none of its documents names, as a document of its own.
fn from_multipart(mut files: Vec<FilePart>) -> Result<Batch, ApiError> {
    let mut items = Vec::new();
    if let Some(at) = files
        .iter()
        .position(|file| file.name == "documents" && !file.is_picture())
    {
        let documents = files.remove(at).bytes;
        match from_json(&documents, &mut files) {
            Ok(batch) => items = batch.items,
            Err(ApiError::InvalidJson(_)) if documents.contains(&b'\n') => {
                let lines = documents
                    .split(|byte| *byte == b'\n')
                    .filter(|line| !line.trim_ascii().is_empty());
                items.extend(lines.map(|line| incoming(line, &mut files)));
            }
            Err(error) => return Err(error),
        }
    }
    items.extend(files.into_iter().map(from_file));
    if items.is_empty() {
        return Err(ApiError::InvalidMultipart(
            "the multipart request has no parts".to_owned(),
        ));
    }
    Ok(Batch {
        items,
        single: false,
    })
}

/// A file alone is a document: a picture, or a text where its type says so. Its
/// name becomes metadata, so that it can be found by it.
fn from_file(file: FilePart) -> Incoming {
    let metadata = file
        .filename
        .iter()
        .map(|name| ("filename".to_owned(), name.clone().into()))
        .collect();
    let draft = if file.is_text() {
        match String::from_utf8(Vec::from(file.bytes)) {
            Ok(text) => Ok(Draft {
                text: Some(text),
                metadata,
                ..Draft::default()
            }),
            Err(_) => Err(ApiError::InvalidField(format!(
                "the text file '{}' is not UTF-8",
                file.name
            ))),
        }
    } else {
        Ok(Draft {
            image: Some(file.bytes.into()),
            metadata,
            ..Draft::default()
        })
    };
    Incoming {
        id: None,
        draft,
        share: None,
    }
}
