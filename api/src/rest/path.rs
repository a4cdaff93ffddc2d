//! A path's parameters.

use std::sync::Arc;

use clipdb_engine::{Collection, CollectionName, DocumentId, Engine, EngineError, SnapshotId};

use crate::http::error::ApiError;

pub(crate) fn collection_name(name: &str) -> Result<CollectionName, ApiError> {
    name.parse::<CollectionName>().map_err(ApiError::from)
}

/// `/collections/{name}/documents/{id}`: the open collection, and the id of a document in it.
pub(super) fn document(
    engine: &Engine,
    path: &(String, String),
) -> Result<(Arc<Collection>, DocumentId), ApiError> {
    let collection = engine.collection(&collection_name(&path.0)?)?;
    Ok((collection, path.1.parse::<DocumentId>()?))
}

/// `/collections/{name}/snapshots/{id}`.
///
/// # Errors
/// The name is not one of a collection, or no snapshot has such an id.
pub(super) fn snapshot(path: &(String, String)) -> Result<(CollectionName, SnapshotId), ApiError> {
    let collection = collection_name(&path.0)?;
    match SnapshotId::parse(&path.1) {
        Some(id) => Ok((collection, id)),
        None => {
            let id = path.1.clone();
            Err(EngineError::SnapshotNotFound { collection, id }.into())
        }
    }
}
