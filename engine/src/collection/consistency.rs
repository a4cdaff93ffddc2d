//! Whether a collection's documents can all be read, and whether its indexes hold exactly them,
//! seen between two groups of writes.

use std::collections::BTreeSet;
use std::sync::Arc;

use clipdb_index::{CollectionIndex, RowId};
use clipdb_storage::{CollectionStore, DocumentKey};
use serde::Serialize;

use crate::blocking::blocking;
use crate::collection::collection::Collection;
use crate::collection::rows;
use crate::engine::Engine;
use crate::error::EngineError;

/// The most documents that one list of an answer names.
const NAMED: usize = 100;

/// What comparing sled, FAISS and tantivy, version by version, came to.
#[derive(Debug, Clone, Serialize)]
pub struct Agreement {
    pub agrees: bool,
    /// The group of writes that was the last one.
    pub sequence: u64,
    /// Counted one by one.
    pub documents: usize,
    pub vectors: Difference,
    pub keywords: Difference,
    pub damaged: Damaged,
}

/// Documents that cannot be read.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Damaged {
    pub documents: usize,
    /// The ids of up to 100 of them.
    pub ids: Vec<String>,
    /// What is wrong with the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far one index is from the documents.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// Documents that it does not hold.
    pub missing: usize,
    /// Versions that it holds and that are no document's current one.
    pub extra: usize,
    /// The ids of up to 100 of the missing ones.
    pub missing_ids: Vec<String>,
}

impl Engine {
    /// Reads all of the collection's documents, then compares them with both of its indexes,
    /// while writes wait.
    pub async fn agreement(&self, collection: &Arc<Collection>) -> Result<Agreement, EngineError> {
        let store = collection.store.clone();
        let unreadable = blocking(move || store.unreadable()).await??;
        let store = collection.store.clone();
        let mut agreement = collection
            .between_groups(move |index| compare(&store, index))
            .await??;
        agreement.agrees &= unreadable.is_empty();
        agreement.damaged = Damaged {
            documents: unreadable.len(),
            reason: unreadable.first().map(|(_, reason)| reason.clone()),
            ids: unreadable
                .into_iter()
                .take(NAMED)
                .map(|(id, _)| id.to_string())
                .collect(),
        };
        Ok(agreement)
    }
}

fn compare(store: &CollectionStore, index: &CollectionIndex) -> Result<Agreement, EngineError> {
    let live = store.live_keys()?;
    let vectors = Difference::of(store, &live, index.vector_rows())?;
    let keywords = Difference::of(store, &live, index.keyword_rows()?)?;
    let counted = store.len() == live.len() as u64;
    Ok(Agreement {
        agrees: counted && vectors.is_none() && keywords.is_none(),
        sequence: store.sequence(),
        documents: live.len(),
        vectors,
        keywords,
        damaged: Damaged::default(),
    })
}

impl Difference {
    fn of(
        store: &CollectionStore,
        live: &[DocumentKey],
        held: Vec<RowId>,
    ) -> Result<Self, EngineError> {
        let live: BTreeSet<DocumentKey> = live.iter().copied().collect();
        let held: BTreeSet<DocumentKey> = held.into_iter().map(rows::document_key).collect();
        let missing: Vec<DocumentKey> = live.difference(&held).copied().collect();
        let mut missing_ids = Vec::with_capacity(missing.len().min(NAMED));
        for key in missing.iter().take(NAMED) {
            missing_ids.extend(store.get_by_key(*key)?.map(|found| found.id.to_string()));
        }
        Ok(Self {
            missing: missing.len(),
            extra: held.difference(&live).count(),
            missing_ids,
        })
    }

    fn is_none(&self) -> bool {
        self.missing == 0 && self.extra == 0
    }
}
