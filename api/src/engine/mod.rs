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
mod metric;
mod model_metrics;
mod models;
mod page;
mod passage;
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
mod snapshots;
mod statistics;
mod tasks;
mod vector_index;
mod vector_metrics;
mod view;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clipdb_embed::Thumbnails;
use clipdb_storage::{CollectionName, CollectionStore, DamagedCollection, Store, StoreOptions};
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
pub use served::{CollectionSummary, DamagedSummary};
pub use settings::EngineSettings;
pub use snapshots::ArchiveSource;
pub use statistics::Statistics;
pub use tasks::{Task, TaskError, TaskKind, TaskState, TaskView};
pub use view::{Cursor, GroupBy, View};

use self::committer::Closed;
use self::served::{Served, index_folder};
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
    statistics: Arc<Statistics>,
    /// None where URL ingest is off.
    fetcher: Option<Fetcher>,
    /// What requests may hold in memory, all together.
    under_way: Memory,
    thumbnails: Thumbnails,
    tasks: Tasks,
}

impl Engine {
    /// Opens the data folder, migrates it, and begins to bring every derived index up to date
    /// with the stored documents; waits for that as long as the settings say. A collection that is
    /// damaged is not served, and the others are. Blocks.
    pub fn open(
        settings: EngineSettings,
        models: Models,
        statistics: Arc<Statistics>,
    ) -> Result<Self, ApiError> {
        let store = Store::open(
            &settings.data,
            &StoreOptions {
                cache_bytes: settings.cache_bytes,
                reserve_bytes: settings.disk_reserve_bytes,
            },
        )?;
        let engine = Self {
            fetcher: Fetcher::new(&settings.url_ingest, settings.ingest_bytes)?,
            models,
            collections: RwLock::default(),
            defining: Mutex::default(),
            under_way: Memory::new(settings.ingest_bytes),
            thumbnails: Thumbnails::new(
                settings.thumbnail_threads,
                settings.thumbnail_memory,
                settings.image_limits,
            )?,
            tasks: Tasks::default(),
            settings,
            statistics,
            store,
        };
        let mut opened = Vec::new();
        for definition in engine.store.collections() {
            let name = definition.name;
            match engine.open_index(engine.store.collection(&name)?) {
                Ok(collection) => opened.push(collection),
                Err(error) => engine.store.set_damaged(&name, served::damage(error)?),
            }
        }
        let deadline = Instant::now() + engine.settings.start_patience;
        for collection in opened {
            let name = collection.definition().name.clone();
            match collection.wait_until_searchable(Some(deadline)) {
                Ok(()) => engine.serve(name, Served::Open(collection)),
                Err(error) => {
                    collection.close(Closed::Stopping);
                    engine.store.set_damaged(&name, served::damage(error)?);
                }
            }
        }
        for damaged in engine.store.damaged() {
            engine.serve_damaged(damaged);
        }
        engine.sweep_index_folders();
        Ok(engine)
    }

    /// Waits, on threads of their own, for the indexes that [`Engine::open`] did not wait for: where
    /// a document turns out to be damaged, its collection is no longer served.
    pub fn watch_catching_up(self: &Arc<Self>) -> Result<(), ApiError> {
        let all: Vec<_> = self.collections.read().values().cloned().collect();
        for served in all {
            let Served::Open(collection) = served else {
                continue;
            };
            if !collection.is_catching_up() {
                continue;
            }
            let engine = Arc::clone(self);
            std::thread::Builder::new()
                .name(format!("catch-up-{}", collection.definition().name))
                .spawn(move || {
                    if let Err(error) = collection.wait_until_searchable(None)
                        && let Ok(reason) = served::damage(error)
                    {
                        engine.serve_no_longer(&collection, reason);
                    }
                })
                .map_err(ApiError::Thread)?;
        }
        Ok(())
    }

    fn serve_no_longer(&self, collection: &Arc<Collection>, reason: String) {
        let _alone = self.defining.lock();
        let name = &collection.definition().name;
        let is_this =
            |served: &Served| matches!(served, Served::Open(open) if Arc::ptr_eq(open, collection));
        if !self.collections.read().get(name).is_some_and(is_this) {
            return;
        }
        // Its writers are told to send again: then they hear what is damaged.
        collection.close(Closed::Replaced);
        self.store.set_damaged(name, reason);
        let damaged = self.store.damaged();
        let mut damaged = damaged.into_iter();
        if let Some(damaged) = damaged.find(|damaged| damaged.definition().name == *name) {
            self.serve_damaged(damaged);
        }
    }

    fn serve_damaged(&self, damaged: DamagedCollection) {
        tracing::error!(error = %damaged.error(), "a collection is not served");
        let name = damaged.definition().name.clone();
        self.serve(name, Served::Damaged(damaged));
    }

    fn serve(&self, name: CollectionName, served: Served) {
        self.collections.write().insert(name, served);
    }

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

    pub fn collections(&self) -> Vec<CollectionSummary> {
        self.collections
            .read()
            .values()
            .map(Served::summary)
            .collect()
    }

    /// How many collections are damaged and not served.
    pub fn damaged(&self) -> usize {
        served::damaged(&self.collections.read())
    }

    /// How many collections are served and how many are damaged, in Prometheus' text format.
    pub fn collection_metrics(&self) -> String {
        served::metrics(&self.collections.read())
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
        let engine = Arc::clone(self);
        blocking(move || engine.create_collection_now(name, wanted)).await?
    }

    fn create_collection_now(
        &self,
        name: CollectionName,
        wanted: Wanted,
    ) -> Result<(Arc<Collection>, bool), ApiError> {
        let _alone = self.defining.lock();
        // Held while the indexes are opened, so that two requests open them once.
        let mut collections = self.collections.write();
        let existing = match collections.get(&name) {
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
        self.store.create_collection(definition)?;
        let collection = self.open_collection(&name)?;
        collections.insert(name, Served::Open(Arc::clone(&collection)));
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
        for served in collections.values() {
            if let Served::Open(collection) = served {
                collection.close(Closed::Stopping);
            }
        }
    }

    fn open_collection(&self, name: &CollectionName) -> Result<Arc<Collection>, ApiError> {
        self.open_stored(self.store.collection(name)?)
    }

    /// Opens the indexes of a collection, up to date. Blocks.
    fn open_stored(&self, store: CollectionStore) -> Result<Arc<Collection>, ApiError> {
        let collection = self.open_index(store)?;
        if let Err(error) = collection.wait_until_searchable(None) {
            collection.close(Closed::Stopping);
            return Err(error);
        }
        Ok(collection)
    }

    /// Opens the indexes of a collection and begins to bring them up to date. Blocks.
    fn open_index(&self, store: CollectionStore) -> Result<Arc<Collection>, ApiError> {
        let folder = index_folder(&store.definition().name, store.number());
        let folder = self.index_root().join(folder);
        Ok(Arc::new(Collection::open(
            store,
            &folder,
            &self.settings,
            &self.statistics,
        )?))
    }

    /// Deletes the index folder of a collection that is closed and no more. Only its own: others may
    /// belong to collections that are just being restored, which no name leads to yet.
    fn remove_index(&self, served: &Served) {
        remove_folder(&self.index_root().join(served.index_folder()));
    }

    /// Deletes index folders of collections that are no more: a crash may leave one. At the start,
    /// when nothing else makes any.
    fn sweep_index_folders(&self) {
        let live: Vec<String> = self
            .collections
            .read()
            .values()
            .map(Served::index_folder)
            .collect();
        let Ok(entries) = std::fs::read_dir(self.index_root()) else {
            return;
        };
        entries
            .flatten()
            .filter(|entry| {
                !live
                    .iter()
                    .any(|folder| entry.file_name() == folder.as_str())
            })
            .for_each(|entry| remove_folder(&entry.path()));
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
