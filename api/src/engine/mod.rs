//! The open database: collections by name, the loaded models, and the paths of a
//! document ([`ingest`](Engine::ingest)) and of a query ([`search`](Engine::search)).
//!
//! Invariants: a write is answered only by its collection's committer, so after
//! it is durable and searchable; nothing that blocks runs on an async thread
//! (see [`blocking`]); a vector is compared only with vectors of its own model.

mod agreement;
mod call_statistics;
mod check;
mod collection;
mod committer;
mod definition;
mod documents;
mod encode;
mod field_limit;
mod image_source;
mod ingest;
mod lazy_index;
mod metric;
mod model_metrics;
mod models;
mod open_indexes;
mod page;
mod passage;
mod pool;
pub mod query;
mod query_vector;
mod rank;
mod ranking;
mod readiness;
mod recall;
mod rows;
mod search;
mod selection;
mod served;
mod settings;
mod shared;
mod snapshots;
mod start;
mod statistics;
mod tasks;
mod vector_index;
mod vector_metrics;
mod view;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use clipdb_embed::Thumbnails;
use clipdb_storage::{CollectionName, CollectionStore, Stopped, Store};
use parking_lot::{Mutex, RwLock};

pub use agreement::{Agreement, Difference};
pub(crate) use call_statistics::CallSeen;
pub use check::check_folder;
pub use collection::{Collection, OpenSummary};
pub use committer::Ticket;
pub use definition::{FieldDefinitions, NO_MODEL, Wanted};
pub use documents::{Change, Revision};
pub use encode::{Encoded, Input};
pub use field_limit::TooManyFields;
pub use image_source::ImageSource;
pub use ingest::{Draft, Incoming, Ingested, Stored};
pub use models::Models;
pub use passage::HitPassage;
pub use query::Query;
pub(crate) use rank::rank_priority;
pub use rank::{Ranked, Ranking, rank};
pub use readiness::CatchingUp;
pub use recall::{Recall, RecallRequest};
pub use search::{Answer, Hit, SearchTimings, TotalKind};
pub use served::{CollectionSummary, DamagedSummary, Overview};
pub use settings::EngineSettings;
pub use snapshots::ArchiveSource;
pub use statistics::Statistics;
pub use tasks::{Task, TaskError, TaskKind, TaskState, TaskView};
pub use view::{Cursor, GroupBy, View};

use self::committer::{Closed, DamageReport};
use self::pool::Pool;
use self::served::{Served, index_folder};
use self::shared::Shared;
use self::tasks::Tasks;
use crate::error::ApiError;
use crate::memory::{Memory, Share};
use crate::url_ingest::Fetcher;

pub struct Engine {
    store: Store,
    models: Models,
    collections: RwLock<BTreeMap<CollectionName, Served>>,
    /// Held by whoever makes or drops a collection: a name is free only once all of the
    /// collection that had it is gone.
    defining: Mutex<()>,
    settings: EngineSettings,
    shared: Arc<Shared>,
    /// Ends its threads when the engine is dropped.
    _pool: Pool,
    /// What committers report, until somebody listens.
    damage_reports: Mutex<Option<Receiver<DamageReport>>>,
    statistics: Arc<Statistics>,
    /// None where URL ingest is off.
    fetcher: Option<Fetcher>,
    /// What requests may hold in memory, all together.
    under_way: Memory,
    thumbnails: Thumbnails,
    tasks: Tasks,
}

impl Engine {
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// The newest last.
    pub fn tasks(&self) -> Vec<Arc<Task>> {
        self.tasks.all()
    }

    pub fn task(&self, id: &str) -> Result<Arc<Task>, ApiError> {
        self.tasks
            .find(id)
            .ok_or_else(|| ApiError::TaskNotFound(id.to_owned()))
    }

    /// Ends a task that is under way, forgets one that has ended. Says whether it was under way.
    pub fn end_task(&self, id: &str) -> Result<bool, ApiError> {
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
        let all: Vec<Served> = self.collections.read().values().cloned().collect();
        all.iter().map(Served::summary).collect()
    }

    /// Sums that no index is opened for.
    pub fn overview(&self) -> Overview {
        served::overview(&self.collections.read())
    }

    /// How many collections are damaged and not served.
    pub fn damaged(&self) -> usize {
        served::damaged(&self.collections.read())
    }

    /// How many collections have lost their search index and could not make it again.
    pub fn unavailable(&self) -> usize {
        served::unavailable(&self.collections.read())
    }

    /// Why nothing is written, while that is so.
    pub fn storage_stopped(&self) -> Option<Stopped> {
        self.store.stopped()
    }

    /// How many collections are served, damaged and loaded, and whether storage takes writes, in
    /// Prometheus' text format.
    pub fn collection_metrics(&self) -> String {
        let stopped = u8::from(self.storage_stopped().is_some());
        format!(
            "{}# HELP clipdb_storage_stopped 1 while storage takes no writes\n\
             # TYPE clipdb_storage_stopped gauge\n\
             clipdb_storage_stopped {stopped}\n",
            served::metrics(&self.collections.read(), self.shared.open_indexes.len())
        )
    }

    pub fn collection(&self, name: &CollectionName) -> Result<Arc<Collection>, ApiError> {
        self.collections
            .read()
            .get(name)
            .ok_or_else(|| ApiError::CollectionNotFound(name.clone()))?
            .open()
            .cloned()
    }

    /// Makes the collection. The flag tells whether it is new. The same definition twice is
    /// no change.
    pub async fn create_collection(
        self: &Arc<Self>,
        name: CollectionName,
        wanted: Wanted,
    ) -> Result<(Arc<Collection>, bool), ApiError> {
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
    ) -> Result<(Arc<Collection>, bool), ApiError> {
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
            return Err(ApiError::TooManyCollections(most));
        }
        self.store.create_collection(definition)?;
        let collection = self.make_collection(self.store.collection(&name)?)?;
        self.serve(name, Served::Open(Arc::clone(&collection)));
        Ok((collection, true))
    }

    /// Removes the collection with all that it holds; durable when it returns.
    pub async fn drop_collection(self: &Arc<Self>, name: CollectionName) -> Result<(), ApiError> {
        let engine = Arc::clone(self);
        blocking(move || {
            let _alone = engine.defining.lock();
            let served = engine
                .collections
                .write()
                .remove(&name)
                .ok_or_else(|| ApiError::CollectionNotFound(name.clone()))?;
            if let Served::Open(collection) = &served {
                collection.close(Closed::Dropped);
            }
            engine.store.drop_collection(&name)?;
            engine.remove_index(&served);
            Ok(())
        })
        .await?
    }

    /// Waits until `bytes` more may be under way in memory.
    pub async fn admit(&self, bytes: usize) -> Result<Share, ApiError> {
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
        start::each(collections.into_values(), |served| {
            if let Served::Open(collection) = served {
                collection.close(Closed::Stopping);
            }
        });
    }

    fn serve(&self, name: CollectionName, served: Served) {
        self.collections.write().insert(name, served);
    }

    /// The collection of a store; its indexes are not opened yet.
    fn make_collection(&self, store: CollectionStore) -> Result<Arc<Collection>, ApiError> {
        let folder = index_folder(&store.definition().name, store.number());
        let folder = self.index_root().join(folder);
        Ok(Arc::new(Collection::new(store, folder, &self.shared)?))
    }

    /// Deletes the index folder of a collection that is closed and no more. Only its own: others may
    /// belong to collections that are just being restored, which no name leads to yet.
    fn remove_index(&self, served: &Served) {
        remove_folder(&self.index_root().join(served.index_folder()));
    }

    fn index_root(&self) -> PathBuf {
        self.settings.data.join("index")
    }
}

fn remove_folder(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(%error, folder = %folder.display(), "an old index folder could not be removed; the next start tries again");
    }
}

/// Runs `work` on the pool for blocking work and waits for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
        .await
        .map_err(|_| ApiError::Interrupted)
}
