//! Checks between two group commits that all documents of a collection are readable and that its
//! indexes hold exactly these documents.

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

/// The most ids in one list of the result.
const NAMED: usize = 100;

/// The result of comparing sled, FAISS and tantivy, version by version.
#[derive(Debug, Clone, Serialize)]
pub struct Consistency {
    /// Whether every document is readable and both indexes hold exactly the documents.
    pub agrees: bool,
    /// The sequence number of the last group commit.
    pub sequence: u64,
    /// Documents, counted one by one.
    pub documents: usize,
    /// The vector index compared with the documents.
    pub vectors: Difference,
    /// The keyword index compared with the documents.
    pub keywords: Difference,
    /// Documents that cannot be read.
    pub damaged: UnreadableDocuments,
}

/// Documents that cannot be read.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UnreadableDocuments {
    /// The number of such documents.
    pub documents: usize,
    /// The ids of up to 100 of them.
    pub ids: Vec<String>,
    /// Why the first one cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The difference between an index and the documents.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// Documents that the index lacks.
    pub missing: usize,
    /// Versions in the index that are not the current version of a document.
    pub extra: usize,
    /// The ids of up to 100 missing documents.
    pub missing_ids: Vec<String>,
}

impl Engine {
    /// Reads all documents of the collection, then compares them with both indexes while writes
    /// wait.
    ///
    /// # Errors
    /// Storage or an index cannot be read.
    pub async fn check_consistency(
        &self,
        collection: &Arc<Collection>,
    ) -> Result<Consistency, EngineError> {
        let store = collection.store.clone();
        let unreadable = blocking(move || store.unreadable()).await??;
        let store = collection.store.clone();
        let mut agreement = collection
            .between_groups(move |index| compare(&store, index))
            .await??;
        agreement.agrees &= unreadable.is_empty();
        agreement.damaged = UnreadableDocuments {
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

fn compare(store: &CollectionStore, index: &CollectionIndex) -> Result<Consistency, EngineError> {
    let live = store.live_keys()?;
    let vectors = Difference::of(store, &live, index.vector_rows())?;
    let keywords = Difference::of(store, &live, index.keyword_rows()?)?;
    let count_agrees = store.len() == live.len() as u64;
    Ok(Consistency {
        agrees: count_agrees && vectors.is_empty() && keywords.is_empty(),
        sequence: store.sequence(),
        documents: live.len(),
        vectors,
        keywords,
        damaged: UnreadableDocuments::default(),
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

    fn is_empty(&self) -> bool {
        self.missing == 0 && self.extra == 0
    }
}
