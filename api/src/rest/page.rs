//! The web page, `GET /docs` and `GET /openapi.json`, all inside the binary.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use include_dir::{Dir, include_dir};

use super::sole;
use crate::clip_as_service::websocket;
use crate::error::ApiError;

static PAGE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/page");
static OPENAPI: &str = include_str!("../../openapi.json");

/// Nothing from elsewhere, no inline code: a document's content can't run.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; \
                      base-uri 'none'; frame-ancestors 'none'";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            sole("/", websocket::upgrade()).route(web::get().to(|| async { file("index.html") })),
        )
        .service(sole("/docs", web::get().to(|| async { file("docs.html") })))
        .service(sole(
            "/favicon.ico",
            web::get().to(|| async { file("icon.svg") }),
        ))
        .service(sole(
            "/page/{file}",
            web::get().to(|name: web::Path<String>| async move { file(&name) }),
        ))
        .service(sole("/openapi.json", web::get().to(openapi)));
}

/// Whether `path` is one of the page's own files, which need no key.
pub(super) fn is_page_file(path: &str) -> bool {
    matches!(path, "/" | "/docs" | "/favicon.ico") || path.starts_with("/page/")
}

async fn openapi() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(OPENAPI)
}

fn file(name: &str) -> Result<HttpResponse, ApiError> {
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
    Ok(HttpResponse::Ok()
        .content_type(media_type)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(file.contents()))
}
