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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem;

    #[test]
    fn names_and_ids_of_a_path_are_checked() {
        assert_eq!(collection_name("a-1").unwrap().to_string(), "a-1");
        for name in ["", "A B", "a/b"] {
            let error = collection_name(name).unwrap_err();
            assert_eq!(problem::code(&error), "invalid_collection_name", "{name}");
        }
        let path = |name: &str, id: &str| (name.to_owned(), id.to_owned());
        for (path, code) in [
            (path("a b", "x"), "invalid_collection_name"),
            (path("a", "../x"), "snapshot_not_found"),
            (path("a", ""), "snapshot_not_found"),
        ] {
            let error = snapshot(&path).unwrap_err();
            assert_eq!(problem::code(&error), code, "{path:?}");
        }
    }
}
