//! OpenAI's embeddings and models, for OpenAI's clients:
//! `POST /v1/embeddings`, `GET /v1/models`, `GET /v1/models/{id}`.

mod embeddings;
mod models;
mod problem;

use actix_web::{HttpRequest, web};

pub(crate) use problem::OpenAiProblem;

use crate::http::error::ApiError;
use crate::http::resource::resource;

/// All paths below it return errors in OpenAI's format.
const ROOT: &str = "/v1";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::scope(ROOT)
            .service(resource("/embeddings", web::post().to(embeddings::create)))
            .service(resource("/models", web::get().to(models::list)))
            // A hub's model name has a slash, which some clients escape.
            .service(resource("/models/{id:.+}", web::get().to(models::show)))
            .default_service(web::to(no_such_route)),
    );
}

pub(crate) fn is_openai_path(path: &str) -> bool {
    path.strip_prefix(ROOT)
        .is_some_and(|rest| rest.starts_with('/'))
}

async fn no_such_route(request: HttpRequest) -> Result<&'static str, OpenAiProblem> {
    Err(ApiError::NoSuchRoute(request.path().to_owned()).into())
}
