//! Converts stored documents to index rows. New writes and recovery both use it, so that the indexes
//! are derived from the documents in one way only.

use clipdb_index::{CollectionIndex, OwnedRow, ReconcileError, RowId, VectorKind};
use clipdb_storage::{CollectionStore, DocumentKey};

use crate::collection::readiness::Readiness;
use crate::error::EngineError;

pub(crate) fn row_id(key: DocumentKey) -> RowId {
    RowId(key.get())
}

pub(crate) fn document_key(row: RowId) -> DocumentKey {
    DocumentKey::new(row.0)
}

/// The row of the document version `key`, read from storage.
pub(crate) fn read(store: &CollectionStore, key: DocumentKey) -> Result<OwnedRow, EngineError> {
    let document = store
        .get_by_key(key)?
        .ok_or_else(|| EngineError::LostVersion {
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

/// Makes the indexes hold exactly the stored documents. Uses the stored vectors, so nothing is
/// embedded again.
pub(crate) fn reconcile(
    store: &CollectionStore,
    index: &CollectionIndex,
    readiness: &Readiness,
) -> Result<(), EngineError> {
    let live: Vec<RowId> = store.live_keys()?.into_iter().map(row_id).collect();
    let reconciled = index
        .reconcile(&live, store.sequence(), |row| {
            readiness.record_progress()?;
            read(store, document_key(row))
        })
        .map_err(|error| match error {
            ReconcileError::Fetch { cause, .. } => cause,
            ReconcileError::Index(error) => error.into(),
        })?;
    tracing::info!(collection = %store.definition().name, ?reconciled, "the search index agrees with the documents");
    Ok(())
}

pub(crate) fn vector_kind(kind: clipdb_storage::VectorKind) -> VectorKind {
    match kind {
        clipdb_storage::VectorKind::Image => VectorKind::Image,
        clipdb_storage::VectorKind::Text => VectorKind::Text,
    }
}
