//! The one table from an error to its HTTP status and its stable `code`, and the
//! `application/problem+json` (RFC 9457) that carries them.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError};
use clipdb_engine::{
    EmbedError, EngineError, ImageError, IndexError, InvalidValue, StorageError, bounded,
};
use serde_json::{Value, json};

use crate::http::error::ApiError;

/// The status, and the code that clients may match on; a code never changes its meaning.
fn classify(error: &ApiError) -> (StatusCode, &'static str) {
    match error {
        ApiError::Engine(error) => classify_engine(error),
        ApiError::InDocument { source, .. } => classify(source),
        ApiError::NotAllStored { first, .. } => classify(first),
        ApiError::TlsFile { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        ApiError::Starting(_) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        ApiError::NoSuchRange { .. } => {
            (StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable")
        }
        ApiError::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
        ApiError::ForeignOrigin(_) => (StatusCode::FORBIDDEN, "foreign_origin"),
        ApiError::ForeignHost(_) => (StatusCode::FORBIDDEN, "foreign_host"),
        ApiError::NoSuchRoute(_) => (StatusCode::NOT_FOUND, "no_such_route"),
        ApiError::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
        ApiError::InvalidJson(_) => (StatusCode::BAD_REQUEST, "invalid_json"),
        ApiError::UnknownField(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unknown_field"),
        ApiError::InvalidField(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_field"),
        ApiError::InvalidMultipart(_) => (StatusCode::BAD_REQUEST, "invalid_multipart"),
        ApiError::EmptyQuery => (StatusCode::UNPROCESSABLE_ENTITY, "empty_query"),
        ApiError::InvalidBase64(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_base64"),
        ApiError::PathRefused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "path_refused"),
        ApiError::NoSuchCall { .. } => (StatusCode::NOT_FOUND, "no_such_call"),
        ApiError::MissingPart(_) => (StatusCode::UNPROCESSABLE_ENTITY, "missing_part"),
        ApiError::UnsupportedMediaType(..) => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
        }
        ApiError::SlowBody(_) => (StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
        ApiError::UnknownEncoding(_) => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_content_encoding",
        ),
        // RFC 9110, 15.5.16: also when only the data shows it.
        ApiError::BrokenEncoding(..) => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "invalid_content_encoding",
        ),
        ApiError::InflatesTooMuch(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        ApiError::TooManyParts(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_parts"),
        ApiError::UnnamedPart(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unnamed_part"),
        ApiError::BrokenBody(_) | ApiError::BrokenSocket(_) => {
            (StatusCode::BAD_REQUEST, "broken_body")
        }
    }
}

fn classify_engine(error: &EngineError) -> (StatusCode, &'static str) {
    match error {
        EngineError::Refused(error) => error
            .downcast_ref::<ApiError>()
            .map_or((StatusCode::INTERNAL_SERVER_ERROR, "internal"), classify),
        EngineError::Group(error) => classify_engine(error),
        EngineError::Storage(error) => classify_storage(error),
        EngineError::Embed(error) => classify_embed(error),
        EngineError::Index(IndexError::QueryTooLarge(_)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "query_too_large")
        }
        EngineError::Index(_) | EngineError::LostVersion { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "index_failed")
        }
        EngineError::CatchingUp { .. } => (StatusCode::SERVICE_UNAVAILABLE, "catching_up"),
        EngineError::IndexUnavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "index_unavailable"),
        EngineError::Thread(_) => (StatusCode::SERVICE_UNAVAILABLE, "out_of_threads"),
        EngineError::Metrics(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        EngineError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        EngineError::Interrupted => (StatusCode::INTERNAL_SERVER_ERROR, "interrupted"),
        EngineError::CollectionNotFound(_) => (StatusCode::NOT_FOUND, "collection_not_found"),
        EngineError::CollectionWithoutModel(_) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "collection_without_model")
        }
        EngineError::NoDirection { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "no_direction"),
        EngineError::CollectionDiffers { .. } => (StatusCode::CONFLICT, "collection_exists"),
        EngineError::TooManyCollections(_) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "too_many_collections")
        }
        EngineError::CollectionReplaced(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "collection_replaced")
        }
        EngineError::SnapshotNotFound { .. } => (StatusCode::NOT_FOUND, "snapshot_not_found"),
        EngineError::TaskNotFound(_) => (StatusCode::NOT_FOUND, "task_not_found"),
        EngineError::TaskCancelled(_) => (StatusCode::CONFLICT, "cancelled"),
        EngineError::TooManyTasks(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_tasks"),
        EngineError::DocumentNotFound { .. } => (StatusCode::NOT_FOUND, "document_not_found"),
        EngineError::NoImage(_) => (StatusCode::NOT_FOUND, "no_image"),
        EngineError::ModelNotLoaded { .. } => (StatusCode::CONFLICT, "model_not_loaded"),
        EngineError::ModelChanged { .. } => (StatusCode::CONFLICT, "model_changed"),
        EngineError::NoModel
        | EngineError::ModelTwice(_)
        | EngineError::UrlClient(_)
        | EngineError::UnreadableDefinition { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal")
        }
        EngineError::UnknownModel { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown_model"),
        EngineError::EmptyDocument => (StatusCode::UNPROCESSABLE_ENTITY, "empty_document"),
        EngineError::CancelledQuery => (StatusCode::UNPROCESSABLE_ENTITY, "cancelled_query"),
        EngineError::Filter(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_filter"),
        EngineError::EmptyFilter => (StatusCode::UNPROCESSABLE_ENTITY, "empty_filter"),
        EngineError::TypeConflict(_) => (StatusCode::UNPROCESSABLE_ENTITY, "type_conflict"),
        EngineError::TooManyFields(_) => (StatusCode::UNPROCESSABLE_ENTITY, "too_many_fields"),
        EngineError::WrongDimension { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "wrong_dimension"),
        EngineError::UrlIngestDisabled => (StatusCode::UNPROCESSABLE_ENTITY, "url_ingest_disabled"),
        EngineError::UrlRefused { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "url_refused"),
        EngineError::UrlNotFetched { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "url_not_fetched"),
        EngineError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        EngineError::Overloaded(_) => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        EngineError::InvalidField(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_field"),
    }
}

fn classify_storage(error: &StorageError) -> (StatusCode, &'static str) {
    match error {
        // Temporary: the next write may succeed.
        error if error.is_out_of_files() => (StatusCode::SERVICE_UNAVAILABLE, "out_of_files"),
        error if error.is_out_of_room() => (StatusCode::INSUFFICIENT_STORAGE, "disk_full"),
        StorageError::Invalid(error) => classify_invalid(error),
        StorageError::InvalidDim { .. } | StorageError::InvalidWrite { .. } => {
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid_document")
        }
        StorageError::Conflict { .. } => (StatusCode::CONFLICT, "collection_exists"),
        StorageError::UnknownCollection { .. } => (StatusCode::NOT_FOUND, "collection_not_found"),
        StorageError::Damaged { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "document_damaged"),
        StorageError::DamagedCollection { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "collection_damaged")
        }
        StorageError::DamagedImage { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "image_damaged"),
        StorageError::BadSnapshot { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_snapshot"),
        StorageError::SnapshotInProgress { .. } => (StatusCode::CONFLICT, "snapshot_under_way"),
        StorageError::Cancelled => (StatusCode::CONFLICT, "cancelled"),
        StorageError::DiskFull { .. } => (StatusCode::INSUFFICIENT_STORAGE, "disk_full"),
        StorageError::Stopped { .. } => (StatusCode::SERVICE_UNAVAILABLE, "storage_stopped"),
        StorageError::Io { .. }
        | StorageError::NoFolder { .. }
        | StorageError::LostWrites { .. }
        | StorageError::Sled { .. }
        | StorageError::Locked { .. }
        | StorageError::Migration(_) => (StatusCode::INTERNAL_SERVER_ERROR, "storage_failed"),
    }
}

fn classify_invalid(error: &InvalidValue) -> (StatusCode, &'static str) {
    let code = match error {
        InvalidValue::CollectionName { .. } => "invalid_collection_name",
        InvalidValue::DocumentId { .. } => "invalid_document_id",
        InvalidValue::Hash { .. } => "invalid_document",
    };
    (StatusCode::UNPROCESSABLE_ENTITY, code)
}

fn classify_embed(error: &EmbedError) -> (StatusCode, &'static str) {
    match error {
        EmbedError::Image(ImageError::TooManyPixels { .. } | ImageError::TooCostly { .. })
        | EmbedError::DecodeMemory { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "image_too_large"),
        EmbedError::Image(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_image"),
        EmbedError::NoImageTower => (StatusCode::UNPROCESSABLE_ENTITY, "model_without_images"),
        EmbedError::Tokens { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_text"),
        EmbedError::NoDirection { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "no_embedding"),
        EmbedError::Unsupported { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "model_unsupported"),
        EmbedError::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        EmbedError::ModelUnavailable { .. }
        | EmbedError::ModelFile { .. }
        | EmbedError::Tensor { .. }
        | EmbedError::Device { .. }
        | EmbedError::Setting { .. }
        | EmbedError::OnnxRuntime { .. }
        | EmbedError::Torch { .. }
        | EmbedError::Panicked { .. }
        | EmbedError::Io { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "model_failed"),
    }
}

/// The stable code alone.
pub(crate) fn code(error: &ApiError) -> &'static str {
    classify(error).1
}

/// The error's message, shortened: it may quote what a client sent.
pub(crate) fn detail(error: &ApiError) -> String {
    bounded(error.to_string())
}

/// The problem as JSON, for a response or for one document of a batch.
pub fn body(error: &ApiError) -> Value {
    described(classify(error), error.to_string())
}

/// The problem of an error that the engine keeps, as a task does.
pub(crate) fn body_of_engine(error: &EngineError) -> Value {
    described(classify_engine(error), error.to_string())
}

fn described((status, code): (StatusCode, &str), message: String) -> Value {
    json!({
        "type": format!("urn:clipdb:problem:{code}"),
        "title": title(code),
        "status": status.as_u16(),
        "detail": bounded(message),
        "code": code,
    })
}

/// The response to an error; `body` contains at least the problem.
pub(crate) fn response(status: StatusCode, error: &ApiError, body: &Value) -> HttpResponse {
    let mut answer = HttpResponse::build(status);
    answer.content_type("application/problem+json");
    if status == StatusCode::UNAUTHORIZED {
        answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.insert_header((header::RETRY_AFTER, "1"));
    }
    if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
        tracing::error!(%error, "a request failed");
    }
    answer.body(body.to_string())
}

/// `document_not_found` as "Document not found".
fn title(code: &str) -> String {
    let words = code.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        classify(self).0
    }

    fn error_response(&self) -> HttpResponse {
        response(self.status_code(), self, &body(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_its_five_fields() {
        let problem = body(&ApiError::from(EngineError::EmptyDocument));
        assert_eq!(problem["status"], 422);
        assert_eq!(problem["code"], "empty_document");
        assert_eq!(problem["title"], "Empty document");
        assert_eq!(problem["type"], "urn:clipdb:problem:empty_document");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("a 'text', an 'image' or 'vectors'"))
        );
    }

    #[test]
    fn a_client_s_text_is_quoted_in_part() {
        let long = "x".repeat(1_000_000);
        for error in [
            ApiError::PathRefused(long.clone()),
            ApiError::from(EngineError::EmptyDocument).in_document(&long),
            ApiError::InvalidField(long.clone()),
        ] {
            let detail = detail(&error);
            assert!(detail.len() < 1100, "{}", detail.len());
        }
        let path = detail(&ApiError::PathRefused(long));
        assert!(path.len() < 250 && path.ends_with("as 'blob'"), "{path}");
    }

    #[test]
    fn a_group_s_failure_keeps_its_own_code() {
        let error = ApiError::from(EngineError::Group(std::sync::Arc::new(
            EngineError::Stopping,
        )));
        assert_eq!(body(&error)["code"], "stopping");
        assert_eq!(error.status_code(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
