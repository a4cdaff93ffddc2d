//! Routes and query strings, as every protocol declares and reads them.

use actix_web::{HttpRequest, web};

use crate::http::error::ApiError;
use crate::http::exact_json::UniqueValue;

/// A path with one method; `methods` answers the others.
pub(crate) fn sole(path: &str, route: actix_web::Route) -> actix_web::Resource {
    web::resource(path).route(route)
}

/// The query string as `T`; an unknown parameter is an error that names it.
pub(crate) fn query_string<T: serde::de::DeserializeOwned>(
    request: &HttpRequest,
) -> Result<T, ApiError> {
    web::Query::<T>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .map_err(|error| {
            let message = error.to_string();
            match message.find("unknown field") {
                Some(at) => ApiError::UnknownField(message[at..].to_owned()),
                None => ApiError::InvalidField(message),
            }
        })
}

/// The JSON of a `filter` in a query string.
pub(crate) fn filter_parameter(filter: &str) -> Result<serde_json::Value, ApiError> {
    serde_json::from_str::<UniqueValue>(filter)
        .map(|filter| filter.0)
        .map_err(|error| {
            ApiError::InvalidField(format!("'filter' is not JSON, percent-encoded: {error}"))
        })
}
