//! Startup of the engine, and the thread that takes corrupt collections offline.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::num::NonZero;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clipdb_embed::Thumbnails;
use clipdb_storage::{CollectionName, DamagedCollection, Store, StoreOptions};
use parking_lot::{Mutex, RwLock};

use crate::collection::closed::CloseReason;
use crate::collection::collection::Collection;
use crate::collection::damage::DamageReport;
use crate::collection::shared::Shared;
use crate::collection::slot::CollectionSlot;
use crate::engine::{Engine, remove_folder};
use crate::error::EngineError;
use crate::fan_out::for_each;
use crate::memory_budget::MemoryBudget;
use crate::metrics::engine_metrics;
use crate::metrics::statistics::Statistics;
use crate::models::Models;
use crate::settings::EngineSettings;
use crate::tasks::Tasks;
use crate::url_fetch::Fetcher;

/// Open tantivy writers beyond one for each commit thread.
const SPARE_WRITERS: usize = 4;

/// How long startup opens indexes that could also be opened later.
const HEAD_START: Duration = Duration::from_millis(500);

impl Engine {
    /// Opens and migrates the data folder, opens as many indexes as the settings allow and begins to
    /// bring them up to date with the stored documents; waits at most `start_patience` for that. A
    /// corrupt collection goes offline and the others stay up. Blocks.
    ///
    /// `load_models` receives the names of the models that the folder's collections use.
    ///
    /// # Errors
    /// Those of `load_models`; the folder cannot be opened, or a thread cannot be spawned.
    pub fn open<E: From<EngineError>>(
        settings: EngineSettings,
        load_models: impl FnOnce(&BTreeSet<String>) -> Result<Models, E>,
        statistics: Arc<Statistics>,
    ) -> Result<Arc<Self>, E> {
        let store = Store::open(
            &settings.data,
            &StoreOptions {
                cache_bytes: settings.cache_bytes,
                reserve_bytes: settings.disk_reserve_bytes,
            },
        )
        .map_err(EngineError::from)?;
        let used = store.collections().into_iter();
        let models = load_models(&used.map(|collection| collection.model).collect())?;
        Ok(Self::open_store(store, settings, models, statistics)?)
    }

    fn open_store(
        store: Store,
        settings: EngineSettings,
        models: Models,
        statistics: Arc<Statistics>,
    ) -> Result<Arc<Self>, EngineError> {
        let writers = settings.commit_threads + SPARE_WRITERS;
        clipdb_index::set_open_writers(NonZero::new(writers).unwrap_or(NonZero::<usize>::MIN));
        let (shared, pool, damage_reports) = Shared::start(&settings, &statistics)?;
        let engine = Self {
            fetcher: Fetcher::new(&settings.url_ingest, settings.ingest_bytes)?,
            models,
            collections: RwLock::default(),
            defining: Mutex::default(),
            request_memory: MemoryBudget::new(settings.ingest_bytes),
            thumbnails: Thumbnails::new(
                settings.thumbnail_threads,
                settings.thumbnail_memory,
                settings.image_limits,
            )?,
            tasks: Tasks::default(),
            settings,
            shared,
            _pool: pool,
            damage_reports: Mutex::new(Some(damage_reports)),
            statistics,
            store,
        };
        engine.open_collections()?;
        for damaged in engine.store.damaged() {
            engine.insert_damaged(damaged);
        }
        engine.sweep_index_folders();
        let engine = Arc::new(engine);
        engine_metrics::register(&engine)
            .map_err(|error| EngineError::Metrics(error.to_string()))?;
        engine.watch_damage()?;
        Ok(engine)
    }

    /// Gives every collection a slot and opens as many as may be open, the largest first: they take
    /// longest to open when a request waits for them.
    fn open_collections(&self) -> Result<(), EngineError> {
        let mut all = Vec::new();
        for definition in self.store.collections() {
            all.push(self.make_collection(self.store.collection(&definition.name)?)?);
        }
        for collection in &all {
            let name = collection.definition().name.clone();
            self.insert_slot(name, CollectionSlot::Open(Arc::clone(collection)));
        }
        let most = self.settings.open_collections;
        let fits_all = all.len() <= most;
        all.sort_by_key(|collection| std::cmp::Reverse(collection.store.len()));
        all.truncate(most);
        let head_start_ends = Instant::now() + HEAD_START;
        let failed = Mutex::new(Vec::new());
        for_each(all.iter(), |collection| {
            // If not all can stay open, opening one now only saves its first request some time.
            if (fits_all || Instant::now() < head_start_ends)
                && let Err(error) = collection.open()
            {
                failed.lock().push((Arc::clone(collection), error));
            }
        });
        let mut failed = failed.into_inner();
        let deadline = Instant::now() + self.settings.start_patience;
        for collection in &all {
            if let Err(error) = collection.wait_until_searchable(Some(deadline)) {
                failed.push((Arc::clone(collection), error));
            }
        }
        for (collection, error) in failed {
            let Some(reason) = error.damage() else {
                return Err(error);
            };
            let name = &collection.definition().name;
            collection.close(CloseReason::Stopping);
            self.store.set_damaged(name, reason);
        }
        Ok(())
    }

    /// Spawns a thread that receives reports of collections whose documents turn out to be corrupt
    /// while their indexes are rebuilt, and takes them offline.
    fn watch_damage(self: &Arc<Self>) -> Result<(), EngineError> {
        let Some(reports) = self.damage_reports.lock().take() else {
            return Ok(());
        };
        let engine = Arc::downgrade(self);
        std::thread::Builder::new()
            .name("damage".to_owned())
            .spawn(move || {
                for report in reports {
                    let Some(engine) = engine.upgrade() else {
                        return;
                    };
                    engine.take_offline(report);
                }
            })
            .map_err(EngineError::Thread)?;
        Ok(())
    }

    fn take_offline(&self, report: DamageReport) {
        let _guard = self.defining.lock();
        let Some(collection) = self.find_by_number(report.number) else {
            return;
        };
        // Its writers are asked to send again, and then get the error of a corrupt collection.
        collection.close(CloseReason::Replaced);
        let name = &collection.definition().name;
        self.store.set_damaged(name, report.reason);
        let damaged = self.store.damaged();
        let mut damaged = damaged.into_iter();
        if let Some(damaged) = damaged.find(|damaged| damaged.definition().name == *name) {
            self.insert_damaged(damaged);
        }
    }

    /// The collection with this number, if it is online.
    fn find_by_number(&self, number: u64) -> Option<Arc<Collection>> {
        let collections = self.collections.read();
        let mut open = collections.values().filter_map(|slot| slot.open().ok());
        open.find(|open| open.store.number() == number).cloned()
    }

    fn insert_damaged(&self, damaged: DamagedCollection) {
        tracing::error!(error = %damaged.error(), "a collection is corrupt and offline");
        let name: CollectionName = damaged.definition().name.clone();
        self.insert_slot(name, CollectionSlot::Damaged(damaged));
    }

    /// Deletes index folders of collections that no longer exist: a crash may leave one. Runs at
    /// startup only, when nothing else creates such folders.
    fn sweep_index_folders(&self) {
        let live: BTreeSet<OsString> = self
            .collections
            .read()
            .values()
            .map(|slot| slot.index_folder().into())
            .collect();
        let Ok(entries) = std::fs::read_dir(self.index_root()) else {
            return;
        };
        for entry in entries.flatten() {
            if !live.contains(&entry.file_name()) {
                remove_folder(&entry.path());
            }
        }
    }
}
