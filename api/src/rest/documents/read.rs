//! `GET` of a document, of a page of documents, and of an image and its thumbnails.

use clipdb_engine::{Collection, DocumentId, Engine, EngineError};
use std::sync::Arc;

use actix_web::http::header::{self, CacheControl, CacheDirective, EntityTag};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;

use crate::http::error::ApiError;
use crate::http::query_string;
use crate::http::state::{Open, base_path};
use crate::rest::conditional::{Version, last_modified};
use crate::rest::documents::wire::DocumentAnswer;
use crate::rest::path::{self, collection_name};

const LIST_LIMIT: usize = 1000;
const THUMBNAIL_WIDTHS: std::ops::RangeInclusive<u32> = 16..=2048;

pub(super) async fn respond(
    engine: &Engine,
    collection: &Arc<Collection>,
    id: DocumentId,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let document = engine.document(collection, id).await?;
    let (base, name) = (base_path(request), &collection.definition().name);
    Ok(HttpResponse::Ok().json(DocumentAnswer::new(&base, name, document)))
}

pub(super) async fn show(
    Open(engine): Open,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (collection, id) = path::document(&engine, &path)?;
    respond(&engine, &collection, id, &request).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    filter: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn list(
    Open(engine): Open,
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let collection = engine.collection(&collection_name(&name)?)?;
    let query: ListQuery = query_string::parse(&request)?;
    let limit = query.limit.unwrap_or(100);
    if !(1..=LIST_LIMIT).contains(&limit) {
        return Err(ApiError::InvalidField(format!(
            "'limit' is {limit}; it must be from 1 to {LIST_LIMIT}"
        )));
    }
    let after = query.cursor.as_deref().map(cursor_id).transpose()?;
    let documents = match query
        .filter
        .as_deref()
        .map(query_string::parse_filter)
        .transpose()?
    {
        Some(filter) => engine.list_where(&collection, filter, after, limit).await?,
        None => engine.list(&collection, after, limit).await?,
    };
    let cursor = match documents.last() {
        Some(last) if documents.len() == limit => Some(URL_SAFE_NO_PAD.encode(last.id.as_str())),
        _ => None,
    };
    let (base, name) = (base_path(&request), &collection.definition().name);
    let documents: Vec<_> = documents
        .into_iter()
        .map(|document| DocumentAnswer::new(&base, name, document))
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "documents": documents, "cursor": cursor })))
}

/// A cursor is the last id of a page, so writes before and after it don't affect it.
fn cursor_id(cursor: &str) -> Result<DocumentId, ApiError> {
    let wrong = || ApiError::InvalidField("'cursor' is not a cursor of this server".to_owned());
    let id = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
    String::from_utf8(id)
        .map_err(|_| wrong())?
        .parse()
        .map_err(|_| wrong())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageQuery {
    width: Option<u32>,
}

pub(super) async fn image(
    Open(engine): Open,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (collection, id) = path::document(&engine, &path)?;
    let query: ImageQuery = query_string::parse(&request)?;
    if query
        .width
        .is_some_and(|width| !THUMBNAIL_WIDTHS.contains(&width))
    {
        return Err(ApiError::InvalidField(format!(
            "'width' must be from {} to {}",
            THUMBNAIL_WIDTHS.start(),
            THUMBNAIL_WIDTHS.end()
        )));
    }
    let document = engine.document(&collection, id.clone()).await?;
    let stored = document
        .image
        .ok_or_else(|| EngineError::NoImage(id.clone()))?;
    let tag = match query.width {
        Some(width) => format!("{}-{width}", stored.hash),
        None => stored.hash.to_string(),
    };
    let version = Version {
        tag: EntityTag::new_strong(tag),
        modified: last_modified(document.updated_at),
    };
    let unchanged = version.is_known_to(&request);
    let mut answer = if unchanged {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    version
        .write(&mut answer)
        // The document's image may change, so clients revalidate.
        .insert_header(CacheControl(vec![
            CacheDirective::Private,
            CacheDirective::NoCache,
        ]))
        // A stored file is data and must not run in the server's origin.
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox",
        ));
    if unchanged {
        return Ok(answer.finish());
    }
    match query.width {
        Some(width) => {
            let thumbnail = engine.thumbnail(&collection, id, width).await?;
            Ok(answer
                .content_type(thumbnail.media_type)
                .body(thumbnail.bytes))
        }
        None => {
            let (image, bytes) = engine.image(&collection, id).await?;
            Ok(answer.content_type(image.media_type).body(bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_an_id() {
        for id in ["a", "ü/ b", "0193"] {
            let cursor = URL_SAFE_NO_PAD.encode(id);
            assert_eq!(cursor_id(&cursor).unwrap().as_str(), id);
        }
        for cursor in ["?", "YQ==", "", &URL_SAFE_NO_PAD.encode([0xff, 0xfe])] {
            assert!(
                matches!(cursor_id(cursor), Err(ApiError::InvalidField(_))),
                "{cursor}"
            );
        }
    }
}
