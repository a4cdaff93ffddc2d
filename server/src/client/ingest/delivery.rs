//! Sends batches to the server: builds the body, reads the results, and splits a request that the
//! server rejects.

use super::super::ClientError;
use super::super::connection::{Connection, Problem};
use super::drafts::Draft;
use super::failure::Failure;
use super::progress::{Outcome, Progress};
use reqwest::blocking::RequestBuilder;
use reqwest::blocking::multipart::{Form, Part};
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Deserialize)]
struct Response {
    results: Vec<DocumentResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", tag = "status")]
enum DocumentResult {
    Created,
    Updated,
    Failed { error: Problem },
}

/// Number of attempts to send a document to an overloaded server, and the pause between two.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_secs(2);

/// Sends a batch and counts each document. If the server rejects the request (because it is too
/// large, for example), its halves are sent, so that a document fails only for its own reasons.
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
        let mut retries = Vec::new();
        for (draft, result) in batch.into_iter().zip(results) {
            match result {
                DocumentResult::Created => progress.done(draft.weight, Outcome::Created),
                DocumentResult::Updated => progress.done(draft.weight, Outcome::Updated),
                DocumentResult::Failed { error } if error.is_temporary() && attempt < ATTEMPTS => {
                    retries.push(draft);
                }
                DocumentResult::Failed { error } => {
                    progress.failed(&failure(draft, error.description()));
                }
            }
        }
        if retries.is_empty() {
            break;
        }
        std::thread::sleep(PAUSE);
        batch = retries;
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

/// The documents that do not exist in the collection; the others are counted as skipped.
pub fn missing<'a>(
    connection: &Connection,
    batch: &'a [Draft],
    progress: &Progress,
) -> Result<Vec<&'a Draft>, ClientError> {
    let mut missing = Vec::with_capacity(batch.len());
    for draft in batch {
        match draft.document.get("id").and_then(Value::as_str) {
            Some(id) if connection.has_document(id)? => {
                progress.done(draft.weight, Outcome::Skipped);
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
    let response = if batch.iter().any(|draft| draft.image.is_some()) {
        connection.post_documents(|request| multipart(request, &documents, batch))?
    } else {
        connection.post_documents(|request| ndjson(request, &documents))?
    };
    let invalid_response = |detail| ClientError::NotClipdb {
        server: connection.server(),
        detail,
    };
    let response: Response = serde_json::from_value(response)
        .map_err(|error| invalid_response(format!("invalid response to documents: {error}")))?;
    if response.results.len() != batch.len() {
        return Err(invalid_response(format!(
            "{} results for {} documents",
            response.results.len(),
            batch.len()
        )));
    }
    Ok(response.results)
}

/// The documents as they are sent. An image in the same form is referenced by its number.
fn documents(batch: &[&Draft]) -> Vec<Value> {
    let with_image = |(number, draft): (usize, &&Draft)| {
        let mut document = draft.document.clone();
        if draft.image.is_some() {
            document.insert("image".to_owned(), json!({"file": number.to_string()}));
        }
        Value::Object(document)
    };
    batch.iter().enumerate().map(with_image).collect()
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
        if let Some(image) = &draft.image {
            let number = number.to_string();
            let part = Part::bytes(image.bytes.clone()).file_name(number.clone());
            form = form.part(number, typed(part, &image.media_type));
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
