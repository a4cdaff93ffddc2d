//! The open database: collections by name, the loaded models and the limits they share.
//!
//! Invariants: only a collection's committer acknowledges a write, once the write is durable and
//! searchable; nothing that blocks runs on an async thread (see [`crate::blocking`]); a vector is
//! only ever compared with vectors of its own model.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use clipdb_embed::Thumbnails;
use clipdb_storage::{CollectionName, CollectionStore, Stopped, Store};
use parking_lot::{Mutex, RwLock};

use crate::blocking::blocking;
use crate::collection::closed::Closed;
use crate::collection::collection::Collection;
use crate::collection::damage::DamageReport;
use crate::collection::definition::{self, Wanted};
use crate::collection::pool::Pool;
use crate::collection::shared::Shared;
use crate::collection::slot::{self, CollectionSlot, Overview, index_folder};
use crate::collection::summary::CollectionSummary;
use crate::error::EngineError;
use crate::fan_out::for_each;
use crate::memory_budget::{Memory, Share};
use crate::metrics::statistics::Statistics;
use crate::models::Models;
use crate::settings::EngineSettings;
use crate::tasks::{Task, Tasks};
use crate::url_fetch::Fetcher;

pub struct Engine {
    pub(crate) store: Store,
    pub(crate) models: Models,
    pub(crate) collections: RwLock<BTreeMap<CollectionName, CollectionSlot>>,
    /// Held by whoever makes or drops a collection: a name is free only once all of the
    /// collection that had it is gone.
    pub(crate) defining: Mutex<()>,
    pub(crate) settings: EngineSettings,
    pub(crate) shared: Arc<Shared>,
    /// Ends its threads when the engine is dropped.
    pub(crate) _pool: Pool,
    /// What committers report, until somebody listens.
    pub(crate) damage_reports: Mutex<Option<Receiver<DamageReport>>>,
    pub(crate) statistics: Arc<Statistics>,
    /// None where URL ingest is off.
    pub(crate) fetcher: Option<Fetcher>,
    /// What requests may hold in memory, all together.
    pub(crate) under_way: Memory,
    pub(crate) thumbnails: Thumbnails,
    pub(crate) tasks: Tasks,
}

impl Engine {
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// The newest last.
    pub fn tasks(&self) -> Vec<Arc<Task>> {
        self.tasks.all()
    }

    pub fn task(&self, id: &str) -> Result<Arc<Task>, EngineError> {
        self.tasks
            .find(id)
            .ok_or_else(|| EngineError::TaskNotFound(id.to_owned()))
    }

    /// Ends a task that is under way, forgets one that has ended. Says whether it was under way.
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

    pub fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Blocks: a file is read of each collection that is not open.
    pub fn collections(&self) -> Vec<CollectionSummary> {
        let all: Vec<CollectionSlot> = self.collections.read().values().cloned().collect();
        all.iter().map(CollectionSlot::summary).collect()
    }

    /// Sums that no index is opened for.
    pub fn overview(&self) -> Overview {
        slot::overview(&self.collections.read())
    }

    /// How many collections are damaged and not served.
    pub fn damaged(&self) -> usize {
        slot::damaged(&self.collections.read())
    }

    /// How many collections have lost their search index and could not make it again.
    pub fn unavailable(&self) -> usize {
        slot::unavailable(&self.collections.read())
    }

    /// Why nothing is written, while that is so.
    pub fn storage_stopped(&self) -> Option<Stopped> {
        self.store.stopped()
    }

    pub fn collection(&self, name: &CollectionName) -> Result<Arc<Collection>, EngineError> {
        self.collections
            .read()
            .get(name)
            .ok_or_else(|| EngineError::CollectionNotFound(name.clone()))?
            .open()
            .cloned()
    }

    /// Makes the collection. The flag tells whether it is new. The same definition twice is
    /// no change.
    pub async fn create_collection(
        self: &Arc<Self>,
        name: CollectionName,
        wanted: Wanted,
    ) -> Result<(Arc<Collection>, bool), EngineError> {
        if name == CollectionName::default()
            && wanted.is_anything()
            && let Ok(existing) = self.collection(&name)
        {
            // Whoever fills it waits for nobody who makes or drops another.
            return Ok((existing, false));
        }
        let engine = Arc::clone(self);
        blocking(move || engine.create_collection_now(name, wanted)).await?
    }

    fn create_collection_now(
        &self,
        name: CollectionName,
        wanted: Wanted,
    ) -> Result<(Arc<Collection>, bool), EngineError> {
        let _alone = self.defining.lock();
        let existing = match self.collections.read().get(&name) {
            Some(served) => Some(Arc::clone(served.open()?)),
            None => None,
        };
        // The default collection is filled whatever it was made as.
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
        self.serve(name, CollectionSlot::Open(Arc::clone(&collection)));
        Ok((collection, true))
    }

    /// Removes the collection with all that it holds; durable when it returns.
    pub async fn drop_collection(
        self: &Arc<Self>,
        name: CollectionName,
    ) -> Result<(), EngineError> {
        let engine = Arc::clone(self);
        blocking(move || {
            let _alone = engine.defining.lock();
            let served = engine
                .collections
                .write()
                .remove(&name)
                .ok_or_else(|| EngineError::CollectionNotFound(name.clone()))?;
            if let CollectionSlot::Open(collection) = &served {
                collection.close(Closed::Dropped);
            }
            engine.store.drop_collection(&name)?;
            engine.remove_index(&served);
            Ok(())
        })
        .await?
    }

    /// Waits until `bytes` more may be under way in memory.
    pub async fn admit(&self, bytes: usize) -> Result<Share, EngineError> {
        self.under_way.share(bytes).await
    }

    /// A share of that memory which takes up to `most` bytes as they come.
    pub fn admit_growing(&self, most: usize) -> Share {
        self.under_way.growing(most)
    }

    /// Finishes accepted writes, saves the indexes. Blocks.
    pub fn close(&self) {
        self.tasks.close();
        let collections = std::mem::take(&mut *self.collections.write());
        for_each(collections.into_values(), |served| {
            if let CollectionSlot::Open(collection) = served {
                collection.close(Closed::Stopping);
            }
        });
    }

    pub(crate) fn serve(&self, name: CollectionName, served: CollectionSlot) {
        self.collections.write().insert(name, served);
    }

    /// The collection of a store; its indexes are not opened yet.
    pub(crate) fn make_collection(
        &self,
        store: CollectionStore,
    ) -> Result<Arc<Collection>, EngineError> {
        let folder = index_folder(&store.definition().name, store.number());
        let folder = self.index_root().join(folder);
        Ok(Arc::new(Collection::new(store, folder, &self.shared)?))
    }

    /// Deletes the index folder of a collection that is closed and no more. Only its own: others may
    /// belong to collections that are just being restored, which no name leads to yet.
    pub(crate) fn remove_index(&self, served: &CollectionSlot) {
        remove_folder(&self.index_root().join(served.index_folder()));
    }

    pub(crate) fn index_root(&self) -> PathBuf {
        self.settings.data.join("index")
    }
}

pub(crate) fn remove_folder(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(%error, folder = %folder.display(), "an old index folder could not be removed; the next start tries again");
    }
}

#[cfg(test)]
mod tests;
