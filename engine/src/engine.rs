//! The open database: collections by name, the loaded models and their shared limits.
//!
//! Invariants: only a collection's committer acknowledges a write, once the write is durable and
//! searchable; blocking work never runs on an async thread (see [`crate::blocking`]); a vector is
//! only compared with vectors of the same model.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use clipdb_embed::Thumbnails;
use clipdb_storage::{CollectionName, CollectionStore, Stopped, Store};
use parking_lot::{Mutex, RwLock};

use crate::blocking::blocking;
use crate::collection::closed::CloseReason;
use crate::collection::collection::Collection;
use crate::collection::damage::DamageReport;
use crate::collection::definition::{self, CollectionSpec};
use crate::collection::pool::Pool;
use crate::collection::shared::Shared;
use crate::collection::slot::{self, CollectionSlot, Overview, index_folder};
use crate::collection::summary::CollectionSummary;
use crate::error::EngineError;
use crate::fan_out::for_each;
use crate::memory_budget::{MemoryBudget, MemoryPermit};
use crate::metrics::statistics::Statistics;
use crate::models::Models;
use crate::settings::EngineSettings;
use crate::tasks::{Task, Tasks};
use crate::url_fetch::Fetcher;

/// The open database. Shared as an `Arc`; every method may be called from any thread.
pub struct Engine {
    pub(crate) store: Store,
    pub(crate) models: Models,
    pub(crate) collections: RwLock<BTreeMap<CollectionName, CollectionSlot>>,
    /// Held while a collection is created or dropped: a name is free only once everything of the
    /// collection that had it is gone.
    pub(crate) defining: Mutex<()>,
    pub(crate) settings: EngineSettings,
    pub(crate) shared: Arc<Shared>,
    /// Joins its threads when the engine is dropped.
    pub(crate) _pool: Pool,
    /// Reports from committers, until [`Engine::open`] starts the thread that receives them.
    pub(crate) damage_reports: Mutex<Option<Receiver<DamageReport>>>,
    pub(crate) statistics: Arc<Statistics>,
    /// `None` if URL ingest is disabled.
    pub(crate) fetcher: Option<Fetcher>,
    /// The memory budget of all requests together.
    pub(crate) request_memory: MemoryBudget,
    pub(crate) thumbnails: Thumbnails,
    pub(crate) tasks: Tasks,
}

impl Engine {
    /// The loaded models.
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// All tasks that are remembered, the newest last.
    pub fn tasks(&self) -> Vec<Arc<Task>> {
        self.tasks.all()
    }

    /// The task `id`.
    ///
    /// # Errors
    /// [`EngineError::TaskNotFound`].
    pub fn task(&self, id: &str) -> Result<Arc<Task>, EngineError> {
        self.tasks
            .find(id)
            .ok_or_else(|| EngineError::TaskNotFound(id.to_owned()))
    }

    /// Cancels a running task, or forgets a finished one. Returns whether it was running.
    ///
    /// # Errors
    /// [`EngineError::TaskNotFound`].
    pub fn end_task(&self, id: &str) -> Result<bool, EngineError> {
        let task = self.task(id)?;
        let running = task.is_running();
        if running {
            task.cancel();
        } else {
            self.tasks.forget(id);
        }
        Ok(running)
    }

    /// The settings that the engine was opened with.
    pub fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    /// The engine's counters and their registry.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Summaries of all collections, ordered by name. Blocks: reads a file of each collection whose
    /// indexes are not open.
    pub fn collections(&self) -> Vec<CollectionSummary> {
        let all: Vec<CollectionSlot> = self.collections.read().values().cloned().collect();
        all.iter().map(CollectionSlot::summary).collect()
    }

    /// Totals over all collections; opens no index.
    pub fn overview(&self) -> Overview {
        slot::overview(&self.collections.read())
    }

    /// The number of corrupt collections, which are offline.
    pub fn damaged(&self) -> usize {
        slot::damaged(&self.collections.read())
    }

    /// The number of collections whose search index is lost and could not be rebuilt.
    pub fn unavailable(&self) -> usize {
        slot::unavailable(&self.collections.read())
    }

    /// Why storage refuses writes, or `None` if it accepts them.
    pub fn storage_stopped(&self) -> Option<Stopped> {
        self.store.stopped()
    }

    /// The collection `name`.
    ///
    /// # Errors
    /// [`EngineError::CollectionNotFound`], or [`EngineError::Storage`] if the collection is corrupt.
    pub fn collection(&self, name: &CollectionName) -> Result<Arc<Collection>, EngineError> {
        self.collections
            .read()
            .get(name)
            .ok_or_else(|| EngineError::CollectionNotFound(name.clone()))?
            .open()
            .cloned()
    }

    /// Creates the collection and returns it with `true`, or returns an existing one of the same
    /// definition with `false`.
    ///
    /// # Errors
    /// [`EngineError::CollectionDiffers`], [`EngineError::TooManyCollections`],
    /// [`EngineError::InvalidField`], the errors of [`Models::chosen`], or those of storage.
    pub async fn create_collection(
        self: &Arc<Self>,
        name: CollectionName,
        wanted: CollectionSpec,
    ) -> Result<(Arc<Collection>, bool), EngineError> {
        if name == CollectionName::default()
            && wanted.is_anything()
            && let Ok(existing) = self.collection(&name)
        {
            // Writers need not wait while other collections are created or dropped.
            return Ok((existing, false));
        }
        let engine = Arc::clone(self);
        blocking(move || engine.create_collection_now(name, wanted)).await?
    }

    fn create_collection_now(
        &self,
        name: CollectionName,
        wanted: CollectionSpec,
    ) -> Result<(Arc<Collection>, bool), EngineError> {
        let _guard = self.defining.lock();
        let existing = match self.collections.read().get(&name) {
            Some(slot) => Some(Arc::clone(slot.open()?)),
            None => None,
        };
        // Documents go to the default collection whatever its definition is.
        let any = wanted.is_anything() && name == CollectionName::default();
        if let Some(existing) = existing.as_ref().filter(|_| any) {
            return Ok((Arc::clone(existing), false));
        }
        let definition = wanted.define(name.clone(), &self.models)?;
        if let Some(existing) = existing {
            definition::check_same(existing.definition(), &definition)?;
            return Ok((existing, false));
        }
        let most = self.settings.max_collections;
        if self.collections.read().len() >= most {
            return Err(EngineError::TooManyCollections(most));
        }
        self.store.create_collection(definition)?;
        let collection = self.make_collection(self.store.collection(&name)?)?;
        self.insert_slot(name, CollectionSlot::Open(Arc::clone(&collection)));
        Ok((collection, true))
    }

    /// Deletes the collection and everything in it. The deletion is durable on return.
    ///
    /// # Errors
    /// [`EngineError::CollectionNotFound`], or storage failed.
    pub async fn drop_collection(
        self: &Arc<Self>,
        name: CollectionName,
    ) -> Result<(), EngineError> {
        let engine = Arc::clone(self);
        blocking(move || {
            let _guard = engine.defining.lock();
            let slot = engine
                .collections
                .write()
                .remove(&name)
                .ok_or_else(|| EngineError::CollectionNotFound(name.clone()))?;
            if let CollectionSlot::Open(collection) = &slot {
                collection.close(CloseReason::Dropped);
            }
            engine.store.drop_collection(&name)?;
            engine.remove_index(&slot);
            Ok(())
        })
        .await?
    }

    /// Waits for `bytes` of the memory budget of requests.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] if the memory is not freed in time.
    pub async fn admit(&self, bytes: usize) -> Result<MemoryPermit, EngineError> {
        self.request_memory.share(bytes).await
    }

    /// An empty share of the memory budget that may grow to `most` bytes.
    pub fn admit_growing(&self, most: usize) -> MemoryPermit {
        self.request_memory.growing(most)
    }

    /// Finishes accepted writes and saves the indexes. Blocks.
    pub fn close(&self) {
        self.tasks.close();
        let collections = std::mem::take(&mut *self.collections.write());
        for_each(collections.into_values(), |slot| {
            if let CollectionSlot::Open(collection) = slot {
                collection.close(CloseReason::Stopping);
            }
        });
    }

    pub(crate) fn insert_slot(&self, name: CollectionName, slot: CollectionSlot) {
        self.collections.write().insert(name, slot);
    }

    /// A collection over `store`, with its indexes closed.
    pub(crate) fn make_collection(
        &self,
        store: CollectionStore,
    ) -> Result<Arc<Collection>, EngineError> {
        let folder = index_folder(&store.definition().name, store.number());
        let folder = self.index_root().join(folder);
        Ok(Arc::new(Collection::new(store, folder, &self.shared)?))
    }

    /// Deletes the index folder of a collection that is closed and deleted. It may not delete other
    /// folders: they may belong to collections that are being restored and have no slot yet.
    pub(crate) fn remove_index(&self, slot: &CollectionSlot) {
        remove_folder(&self.index_root().join(slot.index_folder()));
    }

    pub(crate) fn index_root(&self) -> PathBuf {
        self.settings.data.join("index")
    }
}

pub(crate) fn remove_folder(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(%error, folder = %folder.display(), "could not remove an old index folder; the next startup tries again");
    }
}

#[cfg(test)]
mod tests;
