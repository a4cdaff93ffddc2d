//! Errors in OpenAI's format: an `error` object next to the problem's own fields, and the statuses
//! that the clients map to exceptions.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use clipdb_engine::EngineError;
use serde_json::json;

use crate::http::error::ApiError;
use crate::http::problem;

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct OpenAiProblem(#[from] ApiError);

impl From<EngineError> for OpenAiProblem {
    fn from(error: EngineError) -> Self {
        Self(error.into())
    }
}

impl ResponseError for OpenAiProblem {
    fn status_code(&self) -> StatusCode {
        match (&self.0, self.0.status_code()) {
            (ApiError::Engine(EngineError::UnknownModel { .. }), _) => StatusCode::NOT_FOUND,
            (_, StatusCode::UNPROCESSABLE_ENTITY) => StatusCode::BAD_REQUEST,
            (_, status) => status,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let kind = match status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let mut body = problem::body(&self.0);
        body["status"] = json!(status.as_u16());
        body["error"] = json!({
            "message": body["detail"],
            "type": kind,
            "param": null,
            "code": body["code"],
        });
        problem::response(status, &self.0, &body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_that_clients_distinguish() {
        let status = |error: ApiError| OpenAiProblem(error).status_code().as_u16();
        assert_eq!(status(ApiError::InvalidField(String::new())), 400);
        let unknown = EngineError::UnknownModel {
            wanted: "a".to_owned(),
            loaded: "b".to_owned(),
        };
        assert_eq!(status(unknown.into()), 404);
        assert_eq!(status(ApiError::Unauthorized), 401);
        assert_eq!(status(EngineError::Stopping.into()), 503);
    }
}
