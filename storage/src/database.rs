//! sled in the data folder, and what makes its batches durable.
//!
//! sled 0.34 flushes with `sync_file_range`, which writes pages back but neither the file's new
//! length nor the disk's own cache: enough for kill -9, not for power loss. So each flush is
//! followed by an `fdatasync` of its log. The files beside the log, in which sled keeps pages that
//! are too large for it, it never syncs at all; where there are any, the whole filesystem is synced.

use std::fs::{self, File};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sled::{Batch, Db};

use crate::ballast::{self, Ballast};
use crate::blobs::LargePages;
use crate::fault::{self, CommitStep, Faults};
use crate::lock::FolderLock;
use crate::options::StoreOptions;
use crate::retry::apply_again;
use crate::stop::{Stop, Stopped};
use crate::tree::{Instance, Tree, is_broken};
use crate::witness::Witness;
use crate::{StorageError, layout};

pub(crate) struct Database {
    instance: Arc<Instance>,
    config: sled::Config,
    log: File,
    large_pages: LargePages,
    dir: PathBuf,
    /// Why nothing may be written.
    stopped: Mutex<Option<Stopped>>,
    reserve_bytes: u64,
    ballast: Ballast,
    watcher: OnceLock<Thread>,
    pub(crate) witness: Witness,
    pub(crate) faults: Faults,
    _lock: FolderLock,
}

impl Database {
    /// Opens sled in `dir`, which must exist, and brings its format up to date.
    pub(crate) fn open(dir: &Path, options: &StoreOptions) -> Result<Self, StorageError> {
        let database = Self::open_as_it_is(dir, options)?;
        // sled's own tree is always there.
        let db = database.db()?;
        let empty = db.tree_names().len() <= 1;
        if empty && database.witness.found.values().any(Option::is_some) {
            return Err(StorageError::LostWrites {
                dir: dir.into(),
                lost: "its database is gone".into(),
            });
        }
        let report = clipdb_migrations::migrate(&db, dir)?;
        if report.steps > 0 {
            tracing::info!(
                from = report.from,
                steps = report.steps,
                "the data folder's format was changed"
            );
        }
        Ok(database)
    }

    /// Opens sled in `dir`, of whatever format it is.
    pub(crate) fn open_as_it_is(dir: &Path, options: &StoreOptions) -> Result<Self, StorageError> {
        let lock = FolderLock::take(dir)?;
        let path = dir.join("sled");
        let config = sled::Config::new()
            .path(&path)
            .cache_capacity(options.cache_bytes)
            .segment_size(layout::SEGMENT_BYTES)
            // Every commit flushes by itself. (`mode` has no effect in sled 0.34.)
            .flush_every_ms(None);
        let ballast = Ballast::of(dir);
        ballast.drop_on_a_full_disk()?;
        let witness = Witness::open(dir)?;
        let db = open_or_mend(&path, &config)?;
        let log_path = path.join("db");
        let log = File::open(&log_path).map_err(StorageError::io("open", log_path))?;
        Ok(Database {
            instance: Instance::new(db),
            config,
            log,
            large_pages: LargePages::open(&path.join("blobs"))?,
            dir: dir.into(),
            stopped: Mutex::new(None),
            reserve_bytes: options.reserve_bytes,
            ballast,
            watcher: OnceLock::new(),
            witness,
            faults: Faults::default(),
            _lock: lock,
        })
    }

    /// The format's version; `None` where none was ever written.
    pub(crate) fn format(&self) -> Result<Option<u32>, StorageError> {
        Ok(clipdb_migrations::format(&self.db()?, &self.dir)?)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn tree(&self, name: impl AsRef<[u8]>) -> Result<Tree, StorageError> {
        let tree = self.instance.tree(name);
        // Made here, if it is new.
        tree.now()
            .map_err(StorageError::sled("open a collection"))?;
        Ok(tree)
    }

    fn db(&self) -> Result<Db, StorageError> {
        self.instance
            .db()
            .map_err(StorageError::sled("open the database"))
    }

    /// The numbers of all collections that have a tree.
    pub(crate) fn tree_numbers(&self) -> Result<Vec<u64>, StorageError> {
        let names = self.db()?.tree_names();
        let numbers = names.iter().filter_map(|name| layout::tree_number(name));
        Ok(numbers.collect())
    }

    /// Frees the tree's pages. Not durable by itself: a tree without an entry in the catalog is
    /// dropped again at the next start.
    pub(crate) fn drop_tree(&self, collection: u64) -> Result<(), StorageError> {
        self.db()?
            .drop_tree(layout::tree_name(collection))
            .map(|_| ())
            .map_err(StorageError::sled("drop a collection"))
    }

    /// Fails if a write has failed half-way before, and no heal came since.
    pub(crate) fn check_writable(&self) -> Result<(), StorageError> {
        match &*self.stopped.lock() {
            None => Ok(()),
            Some(stopped) => Err(stopped.error()),
        }
    }

    pub(crate) fn stopped(&self) -> Option<Stopped> {
        self.stopped.lock().clone()
    }

    /// Fails while the disk is so full that a write of `bytes` might not fit. sled cannot go on
    /// after a write that failed, so none is begun that may.
    pub(crate) fn check_room(&self, bytes: u64) -> Result<(), StorageError> {
        // A group is written to sled, to the indexes and, its pictures, to files of their own.
        let needed = self.reserve_bytes.saturating_add(bytes.saturating_mul(4));
        let free = self.free_bytes()?;
        if free >= needed {
            return Ok(());
        }
        Err(StorageError::DiskFull {
            dir: self.dir.clone(),
            free,
            needed,
        })
    }

    /// What is left to us of the data folder's disk.
    pub(crate) fn free_bytes(&self) -> Result<u64, StorageError> {
        let disk = rustix::fs::fstatvfs(&self.log)
            .map_err(|errno| StorageError::io("measure", &self.dir)(errno.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    pub(crate) fn reserve_bytes(&self) -> u64 {
        self.reserve_bytes
    }

    /// Applies the batch as one; durable when it returns.
    ///
    /// After an error of sled's, memory may hold what the disk does not, so nothing is written until
    /// a heal has opened sled again.
    pub(crate) fn apply(&self, tree: &Tree, batch: Batch) -> Result<(), StorageError> {
        self.check_writable()?;
        let (generation, db, tree) = tree.current().map_err(StorageError::sled("write"))?;
        if let Err(error) = self.apply_and_flush(&db, &tree, &batch) {
            let broken = is_broken(&db) || fault::is_injected(&error);
            let error = StorageError::sled("write")(error);
            if broken {
                self.stop_at(generation, Stop::Broken, &error);
            } else {
                self.stop_at(generation, Stop::Half, &error);
                // Closed, it would write what it holds of the batch. It never is: this handle stays.
                std::mem::forget(db);
            }
            return Err(error);
        }
        (self.faults.reach(CommitStep::Sync))
            .map_err(StorageError::io("sync", &self.dir))
            .and_then(|()| self.sync())
            .inspect_err(|error| self.stop(Stop::NotSynced, error))
    }

    fn apply_and_flush(&self, db: &Db, tree: &sled::Tree, batch: &Batch) -> sled::Result<()> {
        self.faults.reach(CommitStep::ApplyBatch)?;
        apply_again(db, tree, batch)?;
        self.faults.reach(CommitStep::Flush)?;
        db.flush().map(|_| ())
    }

    /// The same, unless another instance is open by now.
    fn stop_at(&self, generation: u64, stop: Stop, error: &StorageError) {
        if self.instance.is_current(generation) {
            self.stop(stop, error);
        }
    }

    /// Nothing is written from here on. What stopped it first stays the reason.
    fn stop(&self, stop: Stop, error: &StorageError) {
        let stopped = Stopped::new(stop, error.to_string());
        tracing::error!(error = %stopped.error(), "storage takes no more writes");
        self.stopped.lock().get_or_insert(stopped);
        if let Some(watcher) = self.watcher.get() {
            watcher.unpark();
        }
    }

    fn sync(&self) -> Result<(), StorageError> {
        if self.large_pages.any()? {
            self.sync_filesystem()
        } else {
            self.log
                .sync_data()
                .map_err(StorageError::io("sync", self.dir.join("sled/db")))
        }
    }

    /// Makes everything in the data folder durable.
    pub(crate) fn sync_filesystem(&self) -> Result<(), StorageError> {
        rustix::fs::syncfs(&self.log)
            .map_err(|errno| StorageError::io("sync", &self.dir)(errno.into()))
    }

    /// Looks after what nobody waits for, once in a while: a sled that broke without a word, room
    /// that came back.
    pub(crate) fn look_after(&self) {
        if let Ok(db) = self.instance.db()
            && let Err(error) = db.context.global_error()
        {
            // A write that waits for a flush which failed elsewhere is woken by another's.
            let _ = db.flush();
            let error = StorageError::sled("write")(error);
            if self.stopped().is_none() {
                self.stop(Stop::Broken, &error);
            }
        }
        self.ballast.restore(self.reserve_bytes);
    }

    /// Opens sled again in the place of an instance that is broken, once that is safe: the log's
    /// pages are all on the disk, there is room, and what was opened passes `verify`, which is
    /// given trees by name. Until then there is no instance.
    pub(crate) fn reopen(
        &self,
        verify: impl FnOnce(&Arc<Instance>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        // Our own descriptor tells of every page since its last sync that could not be written
        // back, to whomever that was told before.
        if let Err(error) = self.sync() {
            self.stopped.lock().take();
            self.stop(Stop::NotSynced, &error);
            return Err(error);
        }
        self.ballast.make_room()?;
        ballast::try_write(&self.dir)?;
        drop(self.instance.take());
        let db = open_when_released(&self.config)?
            .map_err(StorageError::sled("open the database again"))?;
        if let Err(error) = verify(&Instance::new(db.clone())) {
            self.stopped.lock().take();
            self.stop(Stop::Lost, &error);
            return Err(error);
        }
        self.instance.put(db);
        Ok(())
    }

    /// The thread to be woken when something stops.
    pub(crate) fn watched_by(&self, thread: Thread) {
        // There is one, set before anything is written.
        let _ = self.watcher.set(thread);
    }

    /// Writes are taken again.
    pub(crate) fn resume(&self) {
        self.stopped.lock().take();
    }
}

/// What sled derives from its log: its settings, which are ours, and a table of its pages.
const DERIVED: [&str; 2] = ["conf", "snap."];

/// Opens sled; where one of its derived files is damaged, without them. Whether that took the
/// folder back to an earlier moment, the witness knows.
fn open_or_mend(path: &Path, config: &sled::Config) -> Result<Db, StorageError> {
    let error = match open_when_released(config) {
        Ok(Ok(db)) => return Ok(db),
        Ok(Err(error @ (sled::Error::Corruption { .. } | sled::Error::Unsupported(_)))) => error,
        Ok(Err(error)) => return Err(StorageError::sled("open the database")(error)),
        Err(panic) => return Err(panic),
    };
    let removed = remove_derived(path)?;
    let opened = open_when_released(config)?.map_err(StorageError::sled("open the database"))?;
    tracing::warn!(%error, ?removed, "damaged files of sled were made anew from its log");
    Ok(opened)
}

/// Removes the files that sled makes anew from its log; gives their names.
pub(crate) fn remove_derived(sled: &Path) -> Result<Vec<String>, StorageError> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(sled).map_err(StorageError::io("list", sled))? {
        let entry = entry.map_err(StorageError::io("list", sled))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if DERIVED.iter().any(|derived| name.starts_with(derived)) {
            fs::remove_file(entry.path()).map_err(StorageError::io("remove", entry.path()))?;
            removed.push(name);
        }
    }
    Ok(removed)
}

/// sled's own lock is let go only when the last of its background threads ends, which may be a
/// moment after a store in this process was dropped. We hold the folder's lock, so it will be.
fn open_when_released(config: &sled::Config) -> Result<sled::Result<Db>, StorageError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match open_or_damaged(config)? {
            Err(sled::Error::Io(error))
                if error.to_string().contains("could not acquire lock")
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            opened => return Ok(opened),
        }
    }
}

/// sled panics where a damaged log leaves a hole in its table of pages.
fn open_or_damaged(config: &sled::Config) -> Result<sled::Result<Db>, StorageError> {
    // After a panic nothing of what was being opened is used.
    std::panic::catch_unwind(AssertUnwindSafe(|| config.open())).map_err(|panic| {
        StorageError::Damaged {
            what: "the log of the data folder's sled".into(),
            reason: panic
                .downcast_ref::<String>()
                .cloned()
                .unwrap_or_else(|| "sled cannot make a table of its pages".into()),
        }
    })
}
