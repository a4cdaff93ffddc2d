//! Batches on their way to the server: the request's body, its answer, and
//! what happens when the server refuses a whole request.

use super::super::ClientError;
use super::super::connection::{Connection, Problem};
use super::Failure;
use super::drafts::Draft;
use super::progress::{Done, Progress};
use reqwest::blocking::RequestBuilder;
use reqwest::blocking::multipart::{Form, Part};
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Deserialize)]
struct Answer {
    results: Vec<DocumentResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", tag = "status")]
enum DocumentResult {
    Created,
    Updated,
    Failed { error: Problem },
}

/// How often a document is sent again that the server had no time for, and
/// how long is waited before.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_secs(2);

/// Sends a batch and counts each document. Where the server refuses the
/// request as a whole (too large, say), its halves are tried, so that a
/// document fails only for its own reasons.
pub fn deliver(
    connection: &Connection,
    batch: &[&Draft],
    progress: &Progress,
) -> Result<(), ClientError> {
    let mut batch = batch.to_vec();
    for attempt in 1..=ATTEMPTS {
        let results = match send(connection, &batch) {
            Ok(results) => results,
            Err(error) if error.concerns_request() => {
                return deliver_in_halves(connection, &batch, progress, &error);
            }
            Err(error) => return Err(error),
        };
        let mut again = Vec::new();
        for (draft, result) in batch.into_iter().zip(results) {
            match result {
                DocumentResult::Created => progress.done(draft.weight, Done::Created),
                DocumentResult::Updated => progress.done(draft.weight, Done::Updated),
                DocumentResult::Failed { error } if error.may_pass() && attempt < ATTEMPTS => {
                    again.push(draft);
                }
                DocumentResult::Failed { error } => {
                    progress.failed(&failure(draft, error.sentence()));
                }
            }
        }
        if again.is_empty() {
            break;
        }
        std::thread::sleep(PAUSE);
        batch = again;
    }
    Ok(())
}

fn deliver_in_halves(
    connection: &Connection,
    batch: &[&Draft],
    progress: &Progress,
    refusal: &ClientError,
) -> Result<(), ClientError> {
    if let [draft] = batch {
        progress.failed(&failure(draft, &refusal.to_string()));
        return Ok(());
    }
    let (left, right) = batch.split_at(batch.len() / 2);
    deliver(connection, left, progress)?;
    deliver(connection, right, progress)
}

/// The documents that the collection does not have; the others are counted as
/// skipped.
pub fn missing<'a>(
    connection: &Connection,
    batch: &'a [Draft],
    progress: &Progress,
) -> Result<Vec<&'a Draft>, ClientError> {
    let mut missing = Vec::with_capacity(batch.len());
    for draft in batch {
        match draft.document.get("id").and_then(Value::as_str) {
            Some(id) if connection.has_document(id)? => {
                progress.done(draft.weight, Done::Skipped);
            }
            _ => missing.push(draft),
        }
    }
    Ok(missing)
}

fn failure(draft: &Draft, detail: &str) -> Failure {
    Failure {
        origin: draft.origin.clone(),
        detail: detail.to_owned(),
        weight: draft.weight,
    }
}

fn send(connection: &Connection, batch: &[&Draft]) -> Result<Vec<DocumentResult>, ClientError> {
    let documents = documents(batch);
    let answer = if batch.iter().any(|draft| draft.picture.is_some()) {
        connection.post_documents(|request| multipart(request, &documents, batch))?
    } else {
        connection.post_documents(|request| ndjson(request, &documents))?
    };
    let odd_answer = |detail| ClientError::NotClipdb {
        server: connection.server(),
        detail,
    };
    let answer: Answer = serde_json::from_value(answer)
        .map_err(|error| odd_answer(format!("the answer to documents: {error}")))?;
    if answer.results.len() != batch.len() {
        return Err(odd_answer(format!(
            "{} results for {} documents",
            answer.results.len(),
            batch.len()
        )));
    }
    Ok(answer.results)
}

/// The documents as sent; a picture beside them is named by its number.
fn documents(batch: &[&Draft]) -> Vec<Value> {
    let with_picture = |(number, draft): (usize, &&Draft)| {
        let mut document = draft.document.clone();
        if draft.picture.is_some() {
            document.insert("image".to_owned(), json!({"file": number.to_string()}));
        }
        Value::Object(document)
    };
    batch.iter().enumerate().map(with_picture).collect()
}

fn ndjson(request: RequestBuilder, documents: &[Value]) -> RequestBuilder {
    let lines: Vec<String> = documents.iter().map(Value::to_string).collect();
    request
        .header(CONTENT_TYPE, "application/x-ndjson")
        .body(lines.join("\n"))
}

fn multipart(request: RequestBuilder, documents: &[Value], batch: &[&Draft]) -> RequestBuilder {
    let described = Part::text(Value::from(documents).to_string());
    let mut form = Form::new().part("documents", typed(described, "application/json"));
    for (number, draft) in batch.iter().enumerate() {
        if let Some(picture) = &draft.picture {
            let number = number.to_string();
            let part = Part::bytes(picture.bytes.clone()).file_name(number.clone());
            form = form.part(number, typed(part, &picture.media_type));
        }
    }
    request.multipart(form)
}

fn typed(part: Part, media_type: &str) -> Part {
    let mut headers = reqwest::header::HeaderMap::new();
    if let Ok(value) = media_type.parse() {
        headers.insert(CONTENT_TYPE, value);
    }
    part.headers(headers)
}
