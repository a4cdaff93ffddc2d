//! One collection: its documents, its committer, and its indexes, which are open only while they
//! are in use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clipdb_index::{CollectionIndex, Fields, VectorKind};
use clipdb_storage::{CollectionDefinition, CollectionStore, Outcome, Write};
use tokio::sync::oneshot;

use crate::collection::closed::CloseReason;
use crate::collection::committer::{Committer, GroupCommit, Ticket};
use crate::collection::definition::{analyzer_name, declared, index_configuration};
use crate::collection::lazy_index::LazyIndex;
use crate::collection::readiness::Readiness;
use crate::collection::shared::Shared;
use crate::collection::summary::{CollectionSummary, OpenSummary};
use crate::collection::vector_index;
use crate::error::EngineError;

/// A collection of documents that share a model and a definition.
pub struct Collection {
    pub(crate) store: CollectionStore,
    fields: Fields,
    index: Arc<LazyIndex>,
    committer: Arc<Committer>,
    readiness: Arc<Readiness>,
    /// Held by the request that opens the indexes, while other requests wait.
    opening: tokio::sync::Mutex<()>,
    shared: Arc<Shared>,
}

impl Collection {
    /// A collection whose indexes are in `folder`; does not open them.
    pub(crate) fn new(
        store: CollectionStore,
        folder: PathBuf,
        shared: &Arc<Shared>,
    ) -> Result<Self, EngineError> {
        // A definition that this version cannot index fails here rather than in the first search.
        index_configuration(store.definition())?;
        let readiness = Arc::new(Readiness::new(store.definition().name.clone()));
        let index = Arc::new(LazyIndex::new(
            store.clone(),
            folder,
            Arc::clone(&readiness),
        ));
        let commit = GroupCommit {
            store: store.clone(),
            index: Arc::clone(&index),
            readiness: Arc::clone(&readiness),
            shared: Arc::clone(shared),
            fields: None,
        };
        Ok(Self {
            fields: declared(&store.definition().fields),
            committer: Committer::new(commit),
            index,
            store,
            readiness,
            opening: tokio::sync::Mutex::default(),
            shared: Arc::clone(shared),
        })
    }

    /// Its definition, as it was created.
    pub fn definition(&self) -> &CollectionDefinition {
        self.store.definition()
    }

    /// The declared fields.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// A summary for lists of collections. Blocks: reads a small file if the indexes are not open.
    pub fn summary(&self) -> CollectionSummary {
        let definition = self.definition();
        let index = self.index.get();
        let building = index.as_ref().is_some_and(|index| index.is_building());
        let segments = match index {
            Some(index) => {
                Some([VectorKind::Image, VectorKind::Text].map(|kind| index.segments(kind)))
            }
            None => self.index.peek(),
        };
        let vectors = |at: usize| {
            let segments = segments.as_ref().and_then(|segments| segments.get(at))?;
            Some(segments.iter().map(|segment| segment.vectors).sum())
        };
        CollectionSummary::Open(Box::new(OpenSummary {
            name: definition.name.to_string(),
            model: definition.model.clone(),
            dim: definition.dim,
            documents: self.store.len(),
            images: vectors(0),
            texts: vectors(1),
            analyzer: analyzer_name(&definition.analyzer).to_owned(),
            fields: definition.fields.clone(),
            index: vector_index::summary(&definition.index, segments, building),
            catching_up: self.readiness.progress(self.store.len()),
            created_at: definition.created_at,
        }))
    }

    /// Whether its search index is lost and could not be rebuilt.
    pub(crate) fn is_unavailable(&self) -> bool {
        self.readiness.is_lost()
    }

    /// The indexes, if they are open.
    pub(crate) fn open_index(&self) -> Option<Arc<CollectionIndex>> {
        self.index.get()
    }

    /// Opens the indexes if they are not open, and begins to bring them up to date. Blocks.
    pub(crate) fn open(&self) -> Result<Arc<CollectionIndex>, EngineError> {
        self.committer.open_index()
    }

    /// Opens the indexes if they are not open, before work on a blocking thread uses them. Waits up
    /// to `start_patience` until they have all documents. One request opens them; the others wait
    /// here without holding a thread.
    ///
    /// # Errors
    /// The indexes cannot be opened or brought up to date.
    pub async fn wake(self: &Arc<Self>) -> Result<(), EngineError> {
        let patience = self.shared.settings.start_patience;
        let is_awake = || self.index.is_open() && self.readiness.due(patience).is_none();
        if is_awake() {
            return Ok(());
        }
        let _guard = self.opening.lock().await;
        if is_awake() {
            return Ok(());
        }
        let openers = Arc::clone(&self.shared.open_indexes.openers);
        let permit = openers.acquire_owned().await;
        let (reply, opened) = oneshot::channel();
        let collection = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let outcome = collection.open().and_then(|_| {
                let due = collection.readiness.due(patience);
                collection.wait_until_searchable(Some(due.unwrap_or(begun + patience)))
            });
            // The receiver is gone if the client disconnected.
            let _ = reply.send(outcome);
            collection.shared.open_indexes.trim();
            drop(permit);
        });
        opened.await.map_err(|_| EngineError::Interrupted)?
    }

    /// Blocks until the indexes are up to date, or until `deadline`; fails if they cannot be brought
    /// up to date.
    pub(crate) fn wait_until_searchable(
        &self,
        deadline: Option<Instant>,
    ) -> Result<(), EngineError> {
        self.readiness.wait(deadline)
    }

    /// Starts merging each kind of vector into one segment, in the background. Blocks while a group
    /// is being committed.
    ///
    /// # Errors
    /// The indexes cannot be opened, or lack documents.
    pub fn compact(&self) -> Result<(), EngineError> {
        self.searchable()?.compact();
        Ok(())
    }

    /// The indexes, unless they lack documents. Blocks if they have to be opened; see
    /// [`Collection::wake`].
    pub(crate) fn searchable(&self) -> Result<Arc<CollectionIndex>, EngineError> {
        if self.readiness.should_retry() {
            self.committer.reconcile();
        }
        let index = self.open()?;
        self.readiness.check(self.store.len())?;
        Ok(index)
    }

    pub(crate) async fn submit(&self, write: Write) -> Result<Ticket, EngineError> {
        self.committer.submit(write).await
    }

    /// Submits and waits until the write is durable and searchable.
    pub(crate) async fn write(&self, write: Write) -> Result<Outcome, EngineError> {
        self.submit(write).await?.wait().await
    }

    /// Runs `work` while no write is in progress; see [`Committer::between_groups`].
    pub(crate) async fn between_groups<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CollectionIndex) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        self.committer.between_groups(work).await
    }

    /// Finishes accepted writes and saves the indexes. Blocks.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.readiness.cancel();
        self.committer.close(reason);
        self.index.close(reason);
    }
}
