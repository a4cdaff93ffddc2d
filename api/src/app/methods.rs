//! Methods that handlers need not know: HEAD wherever there is GET, OPTIONS everywhere, and
//! `Allow` with each 405.

use actix_web::body::{self, BodySize, BodyStream, BoxBody, MessageBody};
use actix_web::dev::{ResponseHead, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, ResponseError};
use bytes::Bytes;
use futures_util::stream;

use crate::http::error::ApiError;
use crate::rest::openai;
use crate::rest::openai::OpenAiProblem;

/// Serves HEAD as GET without the body. A body that is a stream is never read.
pub(crate) async fn serve_head(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if request.method() != Method::HEAD {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    request.head_mut().method = Method::GET;
    // The response is a head only, so the connection can't be upgraded.
    request.headers_mut().remove(header::UPGRADE);
    let answer = next.call(request).await?;
    Ok(answer.map_body(|head, body| without_body(head, body.size())))
}

/// An empty body whose head has the length of GET's body: actix replaces that header unless the
/// length of the body is unknown.
fn without_body(head: &mut ResponseHead, size: BodySize) -> BoxBody {
    match size {
        BodySize::None => return BoxBody::new(body::None::new()),
        BodySize::Sized(0) => return BoxBody::new(()),
        BodySize::Sized(length) => {
            head.headers_mut()
                .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        BodySize::Stream => {}
    }
    head.no_chunking(true);
    BoxBody::new(BodyStream::new(stream::empty::<
        Result<Bytes, actix_web::Error>,
    >()))
}

/// Completes actix's response for a method that a path does not have: `Allow` names HEAD and OPTIONS
/// too, OPTIONS succeeds, and any other method gets a problem.
pub(crate) async fn complete_allow(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let answer = next.call(request).await?;
    if answer.status() != StatusCode::METHOD_NOT_ALLOWED {
        return Ok(answer.map_into_boxed_body());
    }
    let allowed = allowed(answer.headers());
    let (request, _) = answer.into_parts();
    let mut response = if request.method() == Method::OPTIONS {
        HttpResponse::NoContent().finish()
    } else {
        let error = ApiError::MethodNotAllowed {
            asked: format!("{} {}", request.method(), request.path()),
            allowed: allowed.clone(),
        };
        if openai::is_openai_path(request.path()) {
            OpenAiProblem::from(error).error_response()
        } else {
            error.error_response()
        }
    };
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    Ok(ServiceResponse::new(request, response))
}

/// The methods that actix found at the path, each once, with those that every path has.
fn allowed(headers: &HeaderMap) -> String {
    let found = headers
        .get_all(header::ALLOW)
        .filter_map(|value| value.to_str().ok());
    let mut methods: Vec<&str> = Vec::new();
    for method in found.flat_map(|value| value.split(',')).map(str::trim) {
        if !method.is_empty() && !methods.contains(&method) {
            methods.push(method);
        }
        if method == "GET" && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
    }
    methods.push("OPTIONS");
    methods.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_methods_are_named_once_with_head_and_options() {
        let mut headers = HeaderMap::new();
        headers.append(header::ALLOW, HeaderValue::from_static("GET, GET, DELETE"));
        headers.append(header::ALLOW, HeaderValue::from_static("PUT"));
        assert_eq!(allowed(&headers), "GET, HEAD, DELETE, PUT, OPTIONS");
        let mut headers = HeaderMap::new();
        headers.append(header::ALLOW, HeaderValue::from_static("POST"));
        assert_eq!(allowed(&headers), "POST, OPTIONS");
    }
}
