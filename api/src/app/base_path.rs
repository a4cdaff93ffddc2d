//! A server behind a base path: removes the path from requests and adds it to redirects.

use std::str::FromStr;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::uri::{PathAndQuery, Uri};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, web};

use crate::clip_as_service::websocket;
use crate::http::state::HttpState;

/// Removes the base path from a request's path, and adds it to the path of a `Location`.
pub(super) async fn strip(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let state = request.app_data::<web::Data<HttpState>>().cloned();
    let base = match &state {
        Some(state) if !state.settings.base_path.as_str().is_empty() => &state.settings.base_path,
        _ => return Ok(next.call(request).await?.map_into_boxed_body()),
    };
    if let Some(rest) = base.rest_of(request.path()) {
        let query = request.uri().query();
        let with_query = |path: &str| match query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        if rest.is_empty() && !websocket::is_upgrade(request.headers()) {
            // The page's links are relative and need the trailing slash.
            let page = with_query(&format!("{base}/"));
            let redirect = HttpResponse::PermanentRedirect()
                .insert_header((header::LOCATION, page))
                .finish();
            return Ok(request.into_response(redirect));
        }
        let rest = if rest.is_empty() { "/" } else { rest };
        if let Some(uri) = with_path(request.uri(), &with_query(rest)) {
            request.match_info_mut().get_mut().update(&uri);
            request.head_mut().uri = uri;
        }
    }
    let mut answer = next.call(request).await?.map_into_boxed_body();
    let location = answer
        .headers()
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .filter(|location| location.starts_with('/'))
        .and_then(|location| HeaderValue::from_str(&format!("{base}{location}")).ok());
    if let Some(location) = location {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    Ok(answer)
}

fn with_path(uri: &Uri, path_and_query: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_str(path_and_query).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_path_and_query_of_a_uri_are_replaced() {
        for (uri, path, expected) in [
            ("/a/b?c=1", "/b?c=1", "/b?c=1"),
            ("http://host:1/a/b", "/b", "http://host:1/b"),
            ("/a/", "/", "/"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(with_path(&uri, path).unwrap().to_string(), expected);
        }
        assert!(with_path(&Uri::from_static("/a"), "/ b").is_none());
    }
}
