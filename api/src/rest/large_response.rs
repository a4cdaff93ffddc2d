//! Serialises large responses on the thread pool for blocking work, so the threads that serve HTTP
//! stay free.

use actix_web::HttpResponse;
use serde::Serialize;

use crate::http::error::ApiError;
use clipdb_engine::blocking;

pub(super) async fn ok<T: Serialize + Send + 'static>(value: T) -> Result<HttpResponse, ApiError> {
    let json = blocking(move || serde_json::to_vec(&value))
        .await?
        .map_err(|error| ApiError::InvalidField(error.to_string()))?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(json))
}
