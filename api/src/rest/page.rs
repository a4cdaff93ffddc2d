//! The web page, `GET /docs` and `GET /openapi.json`, which are embedded in the binary.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use clipdb_engine::Encoder;
use include_dir::{Dir, include_dir};
use serde_json::{Value, json};

use crate::http::error::ApiError;
use crate::http::resource::resource;
use crate::http::state::HttpState;
use crate::rest::conditional::Version;

static PAGE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/page");
static OPENAPI: &str = include_str!("../../openapi.json");

/// No foreign resources and no inline code: a document's content can't run.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// `GET /`.
pub(crate) async fn index(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    file(&request, "index.html")
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource(
            "/docs",
            web::get().to(|request: HttpRequest| async move { file(&request, "docs.html") }),
        ))
        .service(resource(
            "/favicon.ico",
            web::get().to(|request: HttpRequest| async move { file(&request, "icon.svg") }),
        ))
        .service(resource(
            "/page/{file}",
            web::get().to(|request: HttpRequest, name: web::Path<String>| async move {
                file(&request, &name)
            }),
        ))
        .service(resource("/openapi.json", web::get().to(openapi)));
}

/// Whether `path` is one of the page's own files, which need no key.
pub(crate) fn is_page_file(path: &str) -> bool {
    matches!(path, "/" | "/docs" | "/favicon.ico") || path.starts_with("/page/")
}

/// The OpenAPI description, with the names of the loaded models.
async fn openapi(request: HttpRequest, state: web::Data<HttpState>) -> HttpResponse {
    let Ok(engine) = state.engine() else {
        return embedded(
            &request,
            "application/json",
            Bytes::from_static(OPENAPI.as_bytes()),
        );
    };
    let cards = engine.models().all().iter().map(Encoder::card);
    let models: Vec<(&str, usize)> = cards.map(|card| (card.name.as_str(), card.dim)).collect();
    let described = with_models(OPENAPI, &models);
    embedded(&request, "application/json", Bytes::from(described))
}

/// Replaces `"format": "model"` and `"format": "dimensions"` in the description by the allowed
/// values.
fn with_models(description: &str, models: &[(&str, usize)]) -> String {
    let listed = |values: Vec<Value>| {
        let values: Vec<Value> = values.into_iter().chain([Value::Null]).collect();
        format!("\"enum\": {}", Value::from(values))
    };
    let names: Vec<Value> = models.iter().map(|(name, _)| json!(name)).collect();
    let mut lengths: Vec<usize> = models.iter().map(|(_, dimensions)| *dimensions).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let or_none = names.iter().cloned().chain([json!("none")]).collect();
    description
        .replace(r#""format": "model-or-none""#, &listed(or_none))
        .replace(r#""format": "model""#, &listed(names))
        .replace(
            r#""format": "dimensions""#,
            &listed(lengths.into_iter().map(Value::from).collect()),
        )
}

/// Responds with content that is part of the program. Clients revalidate it each time, since it
/// changes with the program's version.
fn embedded(request: &HttpRequest, media_type: &str, content: Bytes) -> HttpResponse {
    let version = Version::of_content(&content);
    let unchanged = version.is_known_to(request);
    let mut answer = if unchanged {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    version
        .write(&mut answer)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-cache"));
    if unchanged {
        answer.finish()
    } else {
        answer.content_type(media_type).body(content)
    }
}

fn file(request: &HttpRequest, name: &str) -> Result<HttpResponse, ApiError> {
    let file = PAGE
        .get_file(name)
        .ok_or_else(|| ApiError::NoSuchRoute(format!("/page/{name}")))?;
    let media_type = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    Ok(embedded(
        request,
        media_type,
        Bytes::from_static(file.contents()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_names_the_loaded_models() {
        let described = with_models(OPENAPI, &[("a", 384), ("b/c", 512)]);
        let described: Value = serde_json::from_str(&described).unwrap();
        let body = |path: &str, method: &str| {
            &described["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
                ["properties"]["model"]["enum"]
        };
        assert_eq!(body("/encode", "post"), &json!(["a", "b/c", null]));
        assert_eq!(
            body("/collections/{name}", "put"),
            &json!(["a", "b/c", "none", null])
        );
        let length = &described["paths"]["/v1/embeddings"]["post"]["requestBody"]["content"]["application/json"]
            ["schema"]["properties"]["dimensions"]["enum"];
        assert_eq!(length, &json!([384, 512, null]));
        serde_json::from_str::<Value>(OPENAPI).unwrap();
    }
}
