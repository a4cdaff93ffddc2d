//! One collection: its documents, its committer, and its indexes, which are open while they are
//! used.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clipdb_index::{CollectionIndex, Fields, VectorKind};
use clipdb_storage::{CollectionDefinition, CollectionStore, Outcome, Write};
use tokio::sync::oneshot;

use crate::collection::closed::Closed;
use crate::collection::committer::{Committer, GroupCommit, Ticket};
use crate::collection::definition::{analyzer_name, declared, index_configuration};
use crate::collection::lazy_index::LazyIndex;
use crate::collection::readiness::Readiness;
use crate::collection::shared::Shared;
use crate::collection::summary::{CollectionSummary, OpenSummary};
use crate::collection::vector_index;
use crate::error::EngineError;

pub struct Collection {
    pub(crate) store: CollectionStore,
    fields: Fields,
    index: Arc<LazyIndex>,
    committer: Arc<Committer>,
    readiness: Arc<Readiness>,
    /// Held by the one request that opens the indexes, while others wait.
    opening: tokio::sync::Mutex<()>,
    shared: Arc<Shared>,
}

impl Collection {
    /// A collection whose indexes lie in `folder`; they are not opened yet.
    pub(crate) fn new(
        store: CollectionStore,
        folder: PathBuf,
        shared: &Arc<Shared>,
    ) -> Result<Self, EngineError> {
        // What this program cannot index is told now and not by the first search.
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

    pub fn definition(&self) -> &CollectionDefinition {
        self.store.definition()
    }

    /// The declared fields.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Reads a small file where the indexes are not open.
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

    /// Whether its search index could not be made.
    pub(crate) fn is_unavailable(&self) -> bool {
        self.readiness.is_lost()
    }

    /// The indexes where they are open.
    pub(crate) fn open_index(&self) -> Option<Arc<CollectionIndex>> {
        self.index.get()
    }

    /// Opens the indexes where they are not and begins to bring them up to date. Blocks.
    pub(crate) fn open(&self) -> Result<Arc<CollectionIndex>, EngineError> {
        self.committer.open_index()
    }

    /// Opens the indexes where they are not, for work that is about to use them on a thread that
    /// may block. Waits a moment for what they lack. One request opens them, others wait here and
    /// hold no thread.
    pub async fn wake(self: &Arc<Self>) -> Result<(), EngineError> {
        let patience = self.shared.settings.start_patience;
        let is_awake = || self.index.is_open() && self.readiness.due(patience).is_none();
        if is_awake() {
            return Ok(());
        }
        let _alone = self.opening.lock().await;
        if is_awake() {
            return Ok(());
        }
        let openers = Arc::clone(&self.shared.open_indexes.openers);
        let permit = openers.acquire_owned().await;
        let (reply, opened) = oneshot::channel();
        let collection = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let done = collection.open().and_then(|_| {
                let due = collection.readiness.due(patience);
                collection.wait_until_searchable(Some(due.unwrap_or(begun + patience)))
            });
            // Nobody waits any more where the client has gone.
            let _ = reply.send(done);
            collection.shared.open_indexes.trim();
            drop(permit);
        });
        opened.await.map_err(|_| EngineError::Interrupted)?
    }

    /// Blocks until the indexes are up to date, or until `deadline`; an error where they cannot be.
    pub(crate) fn wait_until_searchable(
        &self,
        deadline: Option<Instant>,
    ) -> Result<(), EngineError> {
        self.readiness.wait(deadline)
    }

    /// Asks for one segment of each kind of vectors, made in the background. Blocks while a
    /// group is being written.
    pub fn compact(&self) -> Result<(), EngineError> {
        self.searchable()?.compact();
        Ok(())
    }

    /// The indexes, unless they lack documents. Opens them where they are not, and then blocks;
    /// see [`Collection::wake`].
    pub(crate) fn searchable(&self) -> Result<Arc<CollectionIndex>, EngineError> {
        if self.readiness.try_again() {
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

    /// Does `work` while no write is half-way; see [`Committer::between_groups`].
    pub(crate) async fn between_groups<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CollectionIndex) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        self.committer.between_groups(work).await
    }

    /// Finishes accepted writes and saves the indexes. Blocks.
    pub(crate) fn close(&self, why: Closed) {
        self.readiness.give_up();
        self.committer.close(why);
        self.index.close(why);
    }
}
