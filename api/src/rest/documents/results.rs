//! What became of each document of an ingest request, in its order.

use actix_web::{HttpResponse, ResponseError};
use futures_util::{Stream, StreamExt, pin_mut};
use serde_json::{Value, json};

use crate::engine::Ingested;
use crate::error::ApiError;
use crate::rest::problem;

#[derive(Default)]
pub(super) struct IngestAnswer {
    results: Vec<Value>,
    created: u64,
    updated: u64,
    failed: u64,
    /// The first failure, which is the answer of a request of one document.
    failure: Option<ApiError>,
}

pub(super) async fn collect(answers: impl Stream<Item = Ingested>) -> IngestAnswer {
    pin_mut!(answers);
    let mut whole = IngestAnswer::default();
    while let Some(answer) = answers.next().await {
        whole.add(answer);
    }
    whole
}

impl IngestAnswer {
    fn add(&mut self, answer: Ingested) {
        let mut result = match &answer.outcome {
            Ok(stored) => {
                let status = if stored.created { "created" } else { "updated" };
                json!({ "id": answer.id, "status": status })
            }
            Err(error) => {
                json!({ "id": answer.id, "status": "failed", "error": problem::body(error) })
            }
        };
        match answer.outcome {
            Ok(stored) => {
                if stored.truncated {
                    result["truncated"] = Value::Bool(true);
                }
                if stored.created {
                    self.created += 1
                } else {
                    self.updated += 1
                }
            }
            Err(error) => {
                self.failed += 1;
                self.failure.get_or_insert(error);
            }
        }
        self.results.push(result);
    }

    /// The request's answer. One document alone (`single`) that failed has its
    /// failure's status, as a problem that carries the results as well.
    pub(super) fn respond(self, single: bool) -> HttpResponse {
        let mut body = json!({
            "results": self.results,
            "created": self.created,
            "updated": self.updated,
            "failed": self.failed,
        });
        match self.failure {
            Some(error) if single => {
                if let (Value::Object(body), Value::Object(problem)) =
                    (&mut body, problem::body(&error))
                {
                    body.extend(problem);
                }
                problem::response(error.status_code(), &error, &body)
            }
            _ => HttpResponse::Ok().json(body),
        }
    }
}
