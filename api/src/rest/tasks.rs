//! `GET /tasks`, `GET / DELETE /tasks/{id}`: long-running tasks.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::error::ApiError;
use crate::http::problem;
use crate::http::query_string;
use crate::http::resource::resource;
use crate::http::state::Open;
use clipdb_engine::Task;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/tasks", web::get().to(list)))
        .service(
            web::resource("/tasks/{id}")
                .route(web::get().to(show))
                .route(web::delete().to(end)),
        );
}

/// `?wait=`: whether the response is the result, or the task that produces it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaitQuery {
    wait: Option<bool>,
}

pub(super) fn waits(request: &HttpRequest) -> Result<bool, ApiError> {
    let query: WaitQuery = query_string::parse(request)?;
    Ok(query.wait.unwrap_or(true))
}

/// A task was created: 202 with its location.
pub(super) fn accepted(task: &Task) -> HttpResponse {
    HttpResponse::Accepted()
        .insert_header((header::LOCATION, format!("/tasks/{}", task.id)))
        .json(described(task))
}

fn described(task: &Task) -> Value {
    let view = task.view();
    let errors: Vec<Value> = view
        .errors
        .iter()
        .map(|failure| {
            let mut error = problem::body_of_engine(&failure.error);
            if let Some(id) = &failure.id {
                error["id"] = id.as_str().into();
            }
            error
        })
        .collect();
    json!({
        "id": task.id,
        "kind": task.kind,
        "collection": task.collection,
        "state": view.state,
        "done": view.done,
        "total": view.total,
        "failed": view.failed,
        "errors": errors,
        "result": view.result,
        "created_at": task.created_at,
        "finished_at": view.finished_at,
    })
}

async fn list(Open(engine): Open) -> HttpResponse {
    let tasks: Vec<Value> = engine.tasks().iter().map(|task| described(task)).collect();
    HttpResponse::Ok().json(json!({ "tasks": tasks }))
}

async fn show(Open(engine): Open, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(described(&*engine.task(&id)?)))
}

/// Cancels a running task; forgets a finished one.
async fn end(Open(engine): Open, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let task = engine.task(&id)?;
    if engine.end_task(&id)? {
        Ok(accepted(&task))
    } else {
        Ok(HttpResponse::NoContent().finish())
    }
}
