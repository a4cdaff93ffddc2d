//! One open collection: its documents, its indexes and its committer.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use clipdb_index::{CollectionIndex, Fields, State, VectorKind};
use clipdb_storage::{CollectionDefinition, CollectionName, CollectionStore, Outcome, Write};
use parking_lot::Mutex;

use super::committer::{Closed, Committer, GroupCommit, Ticket};
use super::definition::{FieldDefinitions, analyzer_name, declared, index_configuration};
use super::readiness::{CatchingUp, Readiness};
use super::served::CollectionSummary;
use super::settings::EngineSettings;
use super::statistics::Statistics;
use super::vector_index;
use crate::error::ApiError;

pub struct Collection {
    pub(super) store: CollectionStore,
    pub(super) index: Arc<CollectionIndex>,
    fields: Fields,
    committer: Arc<Committer>,
    verifier: Mutex<Option<JoinHandle<()>>>,
    readiness: Arc<Readiness>,
}

/// What `GET /collections/{name}` tells.
#[derive(Debug, Clone, serde::Serialize)]
pub struct OpenSummary {
    pub name: String,
    pub model: String,
    pub dim: usize,
    pub documents: u64,
    pub images: usize,
    pub texts: usize,
    /// Of texts and undeclared metadata.
    pub analyzer: String,
    pub fields: FieldDefinitions,
    pub index: vector_index::IndexSummary,
    /// How far the indexes have come, while they lack documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catching_up: Option<CatchingUp>,
    pub created_at: u64,
}

impl Collection {
    /// Opens the indexes in `folder` and begins to bring them up to date with `store`. Blocks.
    pub(super) fn open(
        store: CollectionStore,
        folder: &Path,
        settings: &EngineSettings,
        statistics: &Arc<Statistics>,
    ) -> Result<Self, ApiError> {
        let definition = store.definition().clone();
        let (index, opened) = CollectionIndex::open(folder, &index_configuration(&definition)?)?;
        let sequence = store.sequence();
        let current = State::Loaded { sequence };
        let index = Arc::new(index);
        let readiness = Arc::new(Readiness::new(definition.name.clone()));
        let committer = Committer::start(GroupCommit {
            store: store.clone(),
            index: Arc::clone(&index),
            readiness: Arc::clone(&readiness),
            settings: settings.clone(),
            statistics: Arc::clone(statistics),
            fields: None,
        })
        .map_err(ApiError::Thread)?;
        if opened.vectors != current || opened.words != current {
            tracing::info!(
                collection = %definition.name,
                vectors = %opened.vectors,
                words = %opened.words,
                sequence,
                "bringing the search index up to date"
            );
            readiness.begin();
            // Before any write: the committer takes one thing after the other.
            committer.reconcile();
        }
        let committer = Arc::new(committer);
        let verifier = verify_beside(&index, &readiness, &committer, definition.name.clone())
            .map_err(ApiError::Thread)?;
        Ok(Self {
            fields: declared(&definition.fields),
            store,
            index,
            committer,
            verifier: Mutex::new(Some(verifier)),
            readiness,
        })
    }

    pub fn definition(&self) -> &CollectionDefinition {
        self.store.definition()
    }

    /// The declared fields.
    pub(super) fn fields(&self) -> &Fields {
        &self.fields
    }

    pub fn summary(&self) -> CollectionSummary {
        let definition = self.definition();
        CollectionSummary::Open(Box::new(OpenSummary {
            name: definition.name.to_string(),
            model: definition.model.clone(),
            dim: definition.dim,
            documents: self.store.len(),
            images: self.index.len(VectorKind::Image),
            texts: self.index.len(VectorKind::Text),
            analyzer: analyzer_name(&definition.analyzer).to_owned(),
            fields: definition.fields.clone(),
            index: vector_index::summary(&definition.index, &self.index),
            catching_up: self.readiness.progress(self.store.len()),
            created_at: definition.created_at,
        }))
    }

    pub(super) fn is_catching_up(&self) -> bool {
        self.readiness.progress(0).is_some()
    }

    /// Blocks until the indexes are up to date, or until `deadline`; an error where they cannot be.
    pub(super) fn wait_until_searchable(&self, deadline: Option<Instant>) -> Result<(), ApiError> {
        self.readiness.wait(deadline)
    }

    /// Asks for one segment of each kind of vectors, made in the background. Blocks while a
    /// group is being written.
    pub fn compact(&self) -> Result<(), ApiError> {
        self.searchable()?.compact();
        Ok(())
    }

    /// The indexes, unless they lack documents.
    pub(super) fn searchable(&self) -> Result<&CollectionIndex, ApiError> {
        self.readiness.check(self.store.len())?;
        Ok(&self.index)
    }

    pub(super) async fn submit(&self, write: Write) -> Result<Ticket, ApiError> {
        self.committer.submit(write).await
    }

    /// Submits and waits until the write is durable and searchable.
    pub(super) async fn write(&self, write: Write) -> Result<Outcome, ApiError> {
        self.submit(write).await?.wait().await
    }

    /// Does `work` while no write is half-way; see [`Committer::between_groups`].
    pub(super) async fn between_groups<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        self.committer.between_groups(work).await
    }

    /// Finishes accepted writes and saves the indexes. Blocks.
    pub(super) fn close(&self, why: Closed) {
        self.readiness.give_up();
        self.committer.close(why);
        self.index.stop_building();
        if let Some(verifier) = self.verifier.lock().take()
            && verifier.join().is_err()
        {
            tracing::error!("the thread that verifies vectors panicked");
        }
        if let Err(error) = self.index.save() {
            tracing::warn!(%error, "the newest vectors were not written to disk; the next start reads them from the documents");
        }
    }
}

/// Reads every stored vector once while the collection is served already: at a million
/// vectors that takes longer than anybody wants to wait for a start.
fn verify_beside(
    index: &Arc<CollectionIndex>,
    readiness: &Arc<Readiness>,
    committer: &Arc<Committer>,
    name: CollectionName,
) -> std::io::Result<JoinHandle<()>> {
    let (index, committer) = (Arc::clone(index), Arc::clone(committer));
    let readiness = Arc::clone(readiness);
    std::thread::Builder::new()
        .name(format!("verify-{name}"))
        .spawn(move || match index.verify() {
            Ok(lost) if lost.is_empty() => {}
            Ok(lost) => {
                tracing::warn!(collection = %name, ?lost, "damaged vectors were left out: they are read from the documents");
                readiness.begin();
                committer.reconcile();
            }
            Err(error) => {
                tracing::warn!(collection = %name, %error, "the stored vectors could not be verified");
            }
        })
}
