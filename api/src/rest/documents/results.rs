//! The outcome of each document of an ingest request, in the request's order.
//!
//! The list is kept as the response's JSON: in memory, or in an unnamed file if it is long, so the
//! response to a stream of any length needs bounded memory.

use clipdb_engine::{Engine, EngineError, Ingested, StorageError, blocking};
use std::fs::File;
use std::io::{Seek, Write};

use actix_web::body::SizedStream;
use actix_web::{HttpResponse, ResponseError};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use serde::Serialize;
use serde_json::{Value, json};

use crate::http::error::ApiError;
use crate::http::peer;
use crate::http::peer::Peer;
use crate::http::problem;
use crate::rest::file_stream;

/// Bytes of a list that stay in memory.
const IN_MEMORY: usize = 256 << 10;
/// The most failures that are listed; others are only counted.
const LISTED_FAILURES: u64 = 1000;
/// Other tasks of the thread run after this many documents.
const YIELD_EVERY: u64 = 32;

#[derive(Default)]
pub(super) struct IngestResults {
    list: List,
    created: u64,
    updated: u64,
    failed: u64,
    /// Failures that are not in the list.
    unlisted: u64,
    /// The first failure, which is the response to a request of one document.
    failure: Option<ApiError>,
}

/// Decides the status of a response whose documents failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Of one document: its failure is the response's.
    Single,
    /// Of a list: 200, and each result has its own status.
    Batch,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    id: Option<&'a str>,
    /// The position in the request, if failures before it are not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    status: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// The same as [`collect`], until `peer` disconnects: its remaining documents are dropped.
pub(super) async fn collect_for(
    peer: Option<Peer<'_>>,
    engine: &Engine,
    outcomes: impl Stream<Item = Ingested>,
) -> Result<IngestResults, ApiError> {
    let disconnected = async {
        match peer {
            None => std::future::pending().await,
            Some(peer) => {
                while !peer.has_disconnected() {
                    tokio::time::sleep(peer::POLL_INTERVAL).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = disconnected => Err(ApiError::BrokenBody("the client disconnected".to_owned())),
        results = collect(engine, outcomes) => results,
    }
}

pub(super) async fn collect(
    engine: &Engine,
    outcomes: impl Stream<Item = Ingested>,
) -> Result<IngestResults, ApiError> {
    futures_util::pin_mut!(outcomes);
    let mut results = IngestResults::default();
    while let Some(ingested) = outcomes.next().await {
        results.add(ingested)?;
        if results.list.tail.len() >= IN_MEMORY {
            results.list.spill(engine).await?;
        }
        if results.count().is_multiple_of(YIELD_EVERY) {
            tokio::task::yield_now().await;
        }
    }
    results.list.finish()?;
    Ok(results)
}

impl IngestResults {
    fn count(&self) -> u64 {
        self.created + self.updated + self.failed
    }

    /// Responds to a stream: the failure of the body before its first document is the response's.
    pub(super) fn respond_to_stream(self) -> HttpResponse {
        let request = match self.is_body_failure() {
            true => Request::Single,
            false => Request::Batch,
        };
        self.respond(request)
    }

    fn is_body_failure(&self) -> bool {
        let of_body = matches!(
            self.failure,
            Some(
                ApiError::SlowBody(_)
                    | ApiError::BrokenBody(_)
                    | ApiError::BrokenEncoding(..)
                    | ApiError::InflatesTooMuch(_)
                    | ApiError::Engine(EngineError::Overloaded(_))
            )
        );
        of_body && self.count() == 1
    }

    fn add(&mut self, ingested: Ingested) -> Result<(), ApiError> {
        let index = (self.unlisted > 0).then_some(self.count());
        let (status, error, truncated) = match ingested.outcome {
            Ok(stored) if stored.created => {
                self.created += 1;
                ("created", None, stored.truncated)
            }
            Ok(stored) => {
                self.updated += 1;
                ("updated", None, stored.truncated)
            }
            Err(error) => {
                let error = ApiError::from(error);
                self.failed += 1;
                if self.failed > LISTED_FAILURES {
                    self.unlisted += 1;
                    return Ok(());
                }
                let problem = problem::body(&error);
                self.failure.get_or_insert(error);
                ("failed", Some(problem), false)
            }
        };
        self.list.push(&Line {
            error,
            id: ingested.id.as_deref(),
            index,
            status,
            truncated,
        })
    }

    /// The request's response: the results, or a problem that has the results as well.
    pub(super) fn respond(self, request: Request) -> HttpResponse {
        let head = Bytes::from_static(b"{\"results\":[");
        let mut counts = json!({
            "created": self.created,
            "updated": self.updated,
            "failed": self.failed,
        });
        if self.unlisted > 0 {
            counts["failures_not_listed"] = self.unlisted.into();
        }
        // The list's end replaces the object's opening brace.
        let tail = Bytes::from(counts.to_string().replacen('{', "],", 1));
        let list = Bytes::from(self.list.tail);
        if let Some(file) = self.list.file {
            let end = [list, tail].into_iter().map(Ok);
            let length = self.list.spilled + head.len() as u64;
            let length = end
                .clone()
                .flatten()
                .fold(length, |sum, bytes| sum + bytes.len() as u64);
            let pieces = stream::iter([Ok(head)])
                .chain(file_stream::chunks(file, 0, self.list.spilled))
                .chain(stream::iter(end));
            return HttpResponse::Ok()
                .content_type("application/json")
                .body(SizedStream::new(length, pieces));
        }
        let body = [head, list, tail].concat();
        match self.failure {
            Some(error) if request == Request::Single => {
                // It has one result.
                let mut answer: Value = serde_json::from_slice(&body).unwrap_or_default();
                if let (Value::Object(answer), Value::Object(problem)) =
                    (&mut answer, problem::body(&error))
                {
                    answer.extend(problem);
                }
                problem::response(error.status_code(), &error, &answer)
            }
            _ => HttpResponse::Ok()
                .content_type("application/json")
                .body(body),
        }
    }
}

/// JSON values with commas between them.
#[derive(Default)]
struct List {
    file: Option<File>,
    /// Bytes in the file.
    spilled: u64,
    /// The bytes that are not in the file.
    tail: Vec<u8>,
}

impl List {
    fn push(&mut self, line: &Line) -> Result<(), ApiError> {
        if self.spilled > 0 || !self.tail.is_empty() {
            self.tail.push(b',');
        }
        // Strings and numbers, written to memory: this can't fail.
        serde_json::to_writer(&mut self.tail, line).map_err(|_| EngineError::Interrupted.into())
    }

    async fn spill(&mut self, engine: &Engine) -> Result<(), ApiError> {
        let tail = std::mem::take(&mut self.tail);
        let length = tail.len() as u64;
        let (file, shelf) = (self.file.take(), engine.shelf().clone());
        let file = blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => shelf.unnamed_file()?,
            };
            file.write_all(&tail).map_err(write_error)?;
            Ok::<_, ApiError>(file)
        })
        .await??;
        self.file = Some(file);
        self.spilled += length;
        Ok(())
    }

    /// Rewinds the file for reading.
    fn finish(&mut self) -> Result<(), ApiError> {
        match &mut self.file {
            Some(file) => Ok(file.rewind().map_err(write_error)?),
            None => Ok(()),
        }
    }
}

fn write_error(source: std::io::Error) -> StorageError {
    StorageError::Io {
        action: "write",
        path: "a list of results".into(),
        source,
    }
}
