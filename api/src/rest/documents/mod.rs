//! Documents over HTTP: add, read, change, delete, list, and their images.

mod array;
mod background;
mod batch;
mod intake;
mod loose;
mod ndjson;
mod read;
mod reader;
mod results;
pub(super) mod wire;

use clipdb_engine::{CollectionName, CollectionSpec, EngineError, FieldUpdate, Incoming, Patch};

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::http::body;
use crate::http::error::ApiError;
use crate::http::exact_json::UniqueMap;
use crate::http::query_string;
use crate::http::state::{HttpState, Open};
use crate::rest::multipart::Files;
use crate::rest::path::{self, collection_name};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/documents").route(web::post().to(add_to_default)))
        .service(
            web::resource("/collections/{name}/documents")
                .route(web::post().to(add))
                .route(web::get().to(read::list))
                .route(web::delete().to(delete_where)),
        )
        .service(
            web::resource("/collections/{name}/documents/{id}")
                .route(web::get().to(read::show))
                .route(web::put().to(put))
                .route(web::patch().to(patch))
                .route(web::delete().to(delete)),
        )
        .service(
            web::resource("/collections/{name}/documents/{id}/image")
                .route(web::get().to(read::image)),
        );
}

async fn add_to_default(
    Open(engine): Open,
    state: web::Data<HttpState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (collection, _) = engine
        .create_collection(CollectionName::default(), CollectionSpec::default())
        .await?;
    intake::ingest(&engine, &collection, &state.settings, &request, payload).await
}

async fn add(
    Open(engine): Open,
    state: web::Data<HttpState>,
    name: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let name = collection_name(&name)?;
    let collection = if name == CollectionName::default() {
        engine
            .create_collection(name, CollectionSpec::default())
            .await?
            .0
    } else {
        engine.collection(&name)?
    };
    intake::ingest(&engine, &collection, &state.settings, &request, payload).await
}

async fn put(
    Open(engine): Open,
    state: web::Data<HttpState>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (collection, id) = path::document(&engine, &path)?;
    let (mut document, share): (wire::DocumentBody, _) =
        body::read_strict_json(&engine, &state.settings, &request, payload).await?;
    if document
        .id
        .as_ref()
        .is_some_and(|given| given != id.as_str())
    {
        return Err(ApiError::InvalidField(format!(
            "the body's 'id' differs from the path's '{id}'"
        )));
    }
    document.id = Some(id.to_string());
    let draft = document.into_draft(&mut Files::default());
    let item = Incoming {
        id: Some(id.to_string()),
        draft: draft.map_err(EngineError::from),
        share: Some(share),
    };
    let outcomes = engine.ingest(&collection, stream::iter([item]));
    Ok(results::collect(&engine, outcomes)
        .await?
        .respond(results::Request::Single))
}

/// An absent field is kept, `null` removes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatchBody {
    #[serde(default, deserialize_with = "present")]
    text: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    image: Option<Option<wire::ImageBody>>,
    #[serde(default)]
    metadata: UniqueMap,
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

fn change<A, B>(
    field: Option<Option<A>>,
    read: impl FnOnce(A) -> Result<B, ApiError>,
) -> Result<FieldUpdate<B>, ApiError> {
    match field {
        None => Ok(FieldUpdate::Keep),
        Some(None) => Ok(FieldUpdate::Remove),
        Some(Some(value)) => Ok(FieldUpdate::Set(read(value)?)),
    }
}

async fn patch(
    Open(engine): Open,
    state: web::Data<HttpState>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (collection, id) = path::document(&engine, &path)?;
    let (body, _share): (PatchBody, _) =
        body::read_strict_json(&engine, &state.settings, &request, payload).await?;
    let revision = Patch {
        text: change(body.text, Ok)?,
        image: change(body.image, |image| image.into_source(&mut Files::default()))?,
        metadata: body.metadata.0,
    };
    engine.patch(&collection, id.clone(), revision).await?;
    read::respond(&engine, &collection, id, &request).await
}

async fn delete(
    Open(engine): Open,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (collection, id) = path::document(&engine, &path)?;
    engine.delete(&collection, id).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeletionQuery {
    filter: Option<String>,
}

async fn delete_where(
    Open(engine): Open,
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let collection = engine.collection(&collection_name(&name)?)?;
    let query: DeletionQuery = query_string::parse(&request)?;
    let filter = query
        .filter
        .filter(|filter| !filter.trim().is_empty())
        .ok_or(EngineError::EmptyFilter)?;
    let filter = query_string::parse_filter(&filter)?;
    let deleted = engine.delete_where(&collection, filter).await?;
    Ok(HttpResponse::Ok().json(json!({ "deleted": deleted })))
}
