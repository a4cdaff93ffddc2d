//! Batches on their way to the server: the request's body, its answer, and
//! what happens when the server refuses a whole request.

use super::super::ClientError;
use super::super::connection::{Connection, Problem};
use super::Failure;
use super::drafts::Draft;
use super::progress::Progress;
use reqwest::blocking::RequestBuilder;
use reqwest::blocking::multipart::{Form, Part};
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};

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

/// Sends a batch and counts each document. Where the server refuses the
/// request as a whole (too large, say), its halves are tried, so that a
/// document fails only for its own reasons.
pub fn deliver(
    connection: &Connection,
    batch: &[Draft],
    progress: &Progress,
) -> Result<(), ClientError> {
    match send(connection, batch) {
        Ok(results) => {
            for (draft, result) in batch.iter().zip(results) {
                match result {
                    DocumentResult::Created => progress.done(draft.weight, 1, 0),
                    DocumentResult::Updated => progress.done(draft.weight, 0, 1),
                    DocumentResult::Failed { error } => {
                        progress.failed(&failure(draft, error.sentence()));
                    }
                }
            }
            Ok(())
        }
        Err(error) if error.concerns_request() => match batch {
            [draft] => {
                progress.failed(&failure(draft, &error.to_string()));
                Ok(())
            }
            _ => {
                let (left, right) = batch.split_at(batch.len() / 2);
                deliver(connection, left, progress)?;
                deliver(connection, right, progress)
            }
        },
        Err(error) => Err(error),
    }
}

fn failure(draft: &Draft, detail: &str) -> Failure {
    Failure {
        origin: draft.origin.clone(),
        detail: detail.to_owned(),
        weight: draft.weight,
    }
}

fn send(connection: &Connection, batch: &[Draft]) -> Result<Vec<DocumentResult>, ClientError> {
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
fn documents(batch: &[Draft]) -> Vec<Value> {
    let with_picture = |(number, draft): (usize, &Draft)| {
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

fn multipart(request: RequestBuilder, documents: &[Value], batch: &[Draft]) -> RequestBuilder {
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
