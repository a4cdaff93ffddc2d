//! `GET /collections`, `PUT / GET / DELETE /collections/{name}`,
//! `GET /collections/{name}/check`, `GET /collections/{name}/recall`,
//! `POST /collections/{name}/compact`.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use clipdb_engine::{
    Collection, CollectionSpec, CollectionSummary, FieldDefinition, FieldKind, Query,
    RecallRequest, VectorIndex, blocking,
};
use serde::Deserialize;
use serde_json::json;

use crate::http::body;
use crate::http::error::ApiError;
use crate::http::query_string;
use crate::http::resource::resource;
use crate::http::state::{HttpState, Open};
use crate::rest::path::collection_name;

/// The most fields that a collection may declare.
const FIELDS: usize = 1000;

/// The longest name of a declared field, in bytes.
const FIELD_PATH: usize = 1024;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/collections").route(web::get().to(list)))
        .service(
            web::resource("/collections/{name}")
                .route(web::put().to(create))
                .route(web::get().to(show))
                .route(web::delete().to(drop_collection)),
        )
        .service(resource("/collections/{name}/check", web::get().to(check)))
        .service(resource(
            "/collections/{name}/recall",
            web::get().to(recall),
        ))
        .service(resource(
            "/collections/{name}/compact",
            web::post().to(compact),
        ));
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    model: Option<String>,
    analyzer: Option<String>,
    dim: Option<usize>,
    index: Option<VectorIndex>,
    #[serde(default, deserialize_with = "body::null_is_absent")]
    fields: BTreeMap<String, FieldBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldBody {
    r#type: FieldKind,
    analyzer: Option<String>,
    boost: Option<f32>,
}

impl Definition {
    fn into_wanted(self) -> Result<CollectionSpec, ApiError> {
        if self.fields.len() > FIELDS {
            return Err(ApiError::InvalidField(format!(
                "'fields' declares {} fields; the limit is {FIELDS}",
                self.fields.len()
            )));
        }
        let fields = self
            .fields
            .into_iter()
            .map(|(path, field)| {
                if path.is_empty() || path.len() > FIELD_PATH || path.starts_with('$') {
                    return Err(ApiError::InvalidField(format!(
                        "a field's name must have 1 to {FIELD_PATH} bytes and not begin with '$'; {path:?} is invalid"
                    )));
                }
                let field = FieldDefinition {
                    kind: field.r#type,
                    analyzer: field.analyzer,
                    boost: field.boost,
                };
                Ok((path, field))
            })
            .collect::<Result<_, _>>()?;
        Ok(CollectionSpec {
            model: self.model,
            analyzer: self.analyzer,
            dim: self.dim,
            index: self.index,
            fields,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecallQuery {
    k: Option<usize>,
    queries: Option<usize>,
    ef: Option<usize>,
    nprobe: Option<usize>,
}

async fn list(Open(engine): Open) -> Result<HttpResponse, ApiError> {
    let collections = blocking(move || engine.collections()).await?;
    Ok(HttpResponse::Ok().json(json!({ "collections": collections })))
}

async fn create(
    Open(engine): Open,
    state: web::Data<HttpState>,
    name: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let name = collection_name(&name)?;
    let body = body::read_json_text(&engine, &state.settings, &request, payload).await?;
    let (json, _share) = (body.bytes, body.share);
    let definition = if json.trim_ascii().is_empty() {
        Definition::default()
    } else {
        body::parse(&json)?
    };
    let (collection, created) = engine
        .create_collection(name, definition.into_wanted()?)
        .await?;
    let mut response = if created {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    };
    Ok(response.json(summary(&collection).await?))
}

async fn show(Open(engine): Open, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let collection = engine.collection(&collection_name(&name)?)?;
    // A collection that can't be opened is described as not loaded.
    let _ = collection.wake().await;
    Ok(HttpResponse::Ok().json(summary(&collection).await?))
}

async fn summary(collection: &Arc<Collection>) -> Result<CollectionSummary, ApiError> {
    let collection = Arc::clone(collection);
    Ok(blocking(move || collection.summary()).await?)
}

async fn drop_collection(
    Open(engine): Open,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    engine.drop_collection(collection_name(&name)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Starts to merge each kind of vectors into one segment; the collection's `index.building` shows
/// when it is done.
async fn compact(Open(engine): Open, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let collection = engine.collection(&collection_name(&name)?)?;
    collection.wake().await?;
    let compacted = Arc::clone(&collection);
    blocking(move || compacted.compact()).await??;
    Ok(HttpResponse::Accepted().json(summary(&collection).await?))
}

/// Compares the index with an exact search of the collection's own vectors.
async fn recall(
    Open(engine): Open,
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let collection = engine.collection(&collection_name(&name)?)?;
    let query: RecallQuery = query_string::parse(&request)?;
    let wanted = RecallRequest {
        k: query.k.unwrap_or(10),
        queries: query.queries.unwrap_or(100),
        ef: query.ef,
        nprobe: query.nprobe,
    };
    for (name, value, most) in [
        ("k", Some(wanted.k), 1000),
        ("queries", Some(wanted.queries), 10_000),
        ("ef", wanted.ef, Query::MAX_EFFORT),
        ("nprobe", wanted.nprobe, Query::MAX_EFFORT),
    ] {
        if let Some(value) = value.filter(|value| !(1..=most).contains(value)) {
            return Err(ApiError::InvalidField(format!(
                "'{name}' is {value}; it must be from 1 to {most}"
            )));
        }
    }
    Ok(HttpResponse::Ok().json(engine.recall(&collection, wanted).await?))
}

async fn check(Open(engine): Open, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let collection = engine.collection(&collection_name(&name)?)?;
    Ok(HttpResponse::Ok().json(engine.check_consistency(&collection).await?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem;

    fn wanted(json: &str) -> Result<CollectionSpec, &'static str> {
        body::parse::<Definition>(json.as_bytes())
            .and_then(Definition::into_wanted)
            .map_err(|error| problem::code(&error))
    }

    #[test]
    fn a_definition_is_checked() {
        let definition = r#"{"model": "none", "dim": 3, "fields": {"a.b": {"type": "number"}}}"#;
        let found = wanted(definition).unwrap();
        assert_eq!((found.model.as_deref(), found.dim), (Some("none"), Some(3)));
        assert_eq!(found.fields.len(), 1);
        assert!(wanted(r#"{"fields": null}"#).unwrap().fields.is_empty());
        let long = "x".repeat(FIELD_PATH + 1);
        let many: Vec<String> = (0..=FIELDS)
            .map(|at| format!(r#""f{at}": {{"type": "number"}}"#))
            .collect();
        for (json, code) in [
            (
                r#"{"fields": {"": {"type": "number"}}}"#.to_owned(),
                "invalid_field",
            ),
            (
                r#"{"fields": {"$a": {"type": "number"}}}"#.to_owned(),
                "invalid_field",
            ),
            (
                format!(r#"{{"fields": {{"{long}": {{"type": "number"}}}}}}"#),
                "invalid_field",
            ),
            (
                format!(r#"{{"fields": {{{}}}}}"#, many.join(",")),
                "invalid_field",
            ),
            (
                r#"{"fields": {"a": {"type": "words"}}}"#.to_owned(),
                "invalid_field",
            ),
            (
                r#"{"fields": {"a": {"kind": "number"}}}"#.to_owned(),
                "unknown_field",
            ),
            (r#"{"name": "a"}"#.to_owned(), "unknown_field"),
            ("{".to_owned(), "invalid_json"),
        ] {
            let shown = &json[..json.len().min(60)];
            assert_eq!(wanted(&json).err(), Some(code), "{shown}");
        }
    }
}
