//! Stored documents as index rows: the one way from the source of truth to the
//! derived indexes, for new writes and for recovery alike.

use clipdb_index::{CollectionIndex, OwnedRow, ReconcileError, RowId, VectorKind};
use clipdb_storage::{CollectionStore, DocumentKey};

use super::readiness::Readiness;
use crate::error::ApiError;

pub(super) fn row_id(key: DocumentKey) -> RowId {
    RowId(key.get())
}

pub(super) fn document_key(row: RowId) -> DocumentKey {
    DocumentKey::new(row.0)
}

/// The row of the document version `key`, read from storage.
pub(super) fn read(store: &CollectionStore, key: DocumentKey) -> Result<OwnedRow, ApiError> {
    let document = store
        .get_by_key(key)?
        .ok_or_else(|| ApiError::LostVersion {
            collection: store.definition().name.clone(),
            key: key.get(),
        })?;
    let vectors = store
        .vectors(key)?
        .into_iter()
        .map(|(kind, vector)| (vector_kind(kind), vector))
        .collect();
    Ok(OwnedRow {
        id: row_id(key),
        document: document.id.to_string(),
        text: document.text,
        metadata: document.metadata,
        vectors,
    })
}

/// Makes the indexes hold exactly the stored documents, from stored vectors:
/// nothing is embedded again.
pub(super) fn reconcile(
    store: &CollectionStore,
    index: &CollectionIndex,
    readiness: &Readiness,
) -> Result<(), ApiError> {
    let live: Vec<RowId> = store.live_keys()?.into_iter().map(row_id).collect();
    let done = index
        .reconcile(&live, store.sequence(), |row| {
            readiness.go_on()?;
            read(store, document_key(row))
        })
        .map_err(|error| match error {
            ReconcileError::Fetch { cause, .. } => cause,
            ReconcileError::Index(error) => error.into(),
        })?;
    tracing::info!(collection = %store.definition().name, ?done, "the search index agrees with the documents");
    Ok(())
}

pub(super) fn vector_kind(kind: clipdb_storage::VectorKind) -> VectorKind {
    match kind {
        clipdb_storage::VectorKind::Image => VectorKind::Image,
        clipdb_storage::VectorKind::Text => VectorKind::Text,
    }
}
