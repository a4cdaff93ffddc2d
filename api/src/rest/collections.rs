//! `GET /collections`, `PUT / GET / DELETE /collections/{name}`, `GET /collections/{name}/check`.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::body;
use super::state::{Open, RestState};
use super::{method_not_allowed, sole};
use crate::CollectionName;
use crate::error::ApiError;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/collections")
                .route(web::get().to(list))
                .default_service(web::to(method_not_allowed)),
        )
        .service(
            web::resource("/collections/{name}")
                .route(web::put().to(create))
                .route(web::get().to(show))
                .route(web::delete().to(drop_collection))
                .default_service(web::to(method_not_allowed)),
        )
        .service(sole("/collections/{name}/check", web::get().to(check)));
}

/// The collection's name in a path.
pub(super) fn collection_name(name: &str) -> Result<CollectionName, ApiError> {
    name.parse::<CollectionName>().map_err(ApiError::from)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    model: Option<String>,
}

async fn list(Open(engine): Open) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "collections": engine.collections() }))
}

async fn create(
    Open(engine): Open,
    state: web::Data<RestState>,
    name: web::Path<String>,
    mut payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let name = collection_name(&name)?;
    let json = body::read_whole(&mut payload, state.settings.max_body_bytes).await?;
    let definition = if json.trim_ascii().is_empty() {
        Definition::default()
    } else {
        body::parse(&json)?
    };
    let (collection, created) = engine.create_collection(name, definition.model).await?;
    let mut answer = if created {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    };
    Ok(answer.json(collection.summary()))
}

async fn show(Open(engine): Open, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let collection = engine.collection(&collection_name(&name)?)?;
    Ok(HttpResponse::Ok().json(collection.summary()))
}

async fn drop_collection(
    Open(engine): Open,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    engine.drop_collection(collection_name(&name)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn check(Open(engine): Open, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let collection = engine.collection(&collection_name(&name)?)?;
    Ok(HttpResponse::Ok().json(engine.agreement(&collection).await?))
}
