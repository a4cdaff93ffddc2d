//! sled in the data folder, and how its batches become durable.
//!
//! sled 0.34 flushes with `sync_file_range`, which writes pages back, but neither the new length of
//! the file nor the cache of the disk: enough for `kill -9`, not for power loss. Each flush is
//! therefore followed by an `fdatasync` of the log. sled never syncs the files next to the log that
//! hold pages too large for it; if there are any, the whole filesystem is synced.

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
use crate::durable_sequences::DurableSequences;
use crate::fault::{self, CommitStep, Faults};
use crate::lock::FolderLock;
use crate::options::StoreOptions;
use crate::retry::apply_with_retries;
use crate::stop::{Stop, Stopped};
use crate::tree::{Instance, Tree, is_broken};
use crate::{StorageError, layout};

pub(crate) struct Database {
    instance: Arc<Instance>,
    config: sled::Config,
    log: File,
    large_pages: LargePages,
    dir: PathBuf,
    /// Why writes are stopped.
    stopped: Mutex<Option<Stopped>>,
    reserve_bytes: u64,
    ballast: Ballast,
    watcher: OnceLock<Thread>,
    pub(crate) durable_sequences: DurableSequences,
    pub(crate) faults: Faults,
    _lock: FolderLock,
}

impl Database {
    /// Opens sled in `dir`, which must exist, and migrates it to the current format.
    pub(crate) fn open(dir: &Path, options: &StoreOptions) -> Result<Self, StorageError> {
        let database = Self::open_without_migrating(dir, options)?;
        // sled's default tree always exists.
        let db = database.db()?;
        let empty = db.tree_names().len() <= 1;
        if empty
            && database
                .durable_sequences
                .recorded
                .values()
                .any(Option::is_some)
        {
            return Err(StorageError::LostWrites {
                dir: dir.into(),
                lost: "its database is missing".into(),
            });
        }
        let report = clipdb_migrations::migrate(&db, dir)?;
        if report.steps > 0 {
            tracing::info!(
                from = report.from,
                steps = report.steps,
                "migrated the data folder to the current format"
            );
        }
        Ok(database)
    }

    /// Opens sled in `dir` without migrating it.
    pub(crate) fn open_without_migrating(
        dir: &Path,
        options: &StoreOptions,
    ) -> Result<Self, StorageError> {
        let lock = FolderLock::acquire(dir)?;
        let path = dir.join("sled");
        let config = sled::Config::new()
            .path(&path)
            .cache_capacity(options.cache_bytes)
            .segment_size(layout::SEGMENT_BYTES)
            // Every commit flushes explicitly. (`mode` has no effect in sled 0.34.)
            .flush_every_ms(None);
        let ballast = Ballast::new(dir);
        ballast.release_if_disk_full()?;
        let durable_sequences = DurableSequences::open(dir)?;
        let db = open_or_rebuild_derived(&path, &config)?;
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
            durable_sequences,
            faults: Faults::default(),
            _lock: lock,
        })
    }

    /// The version of the format; `None` if the database is empty.
    pub(crate) fn format(&self) -> Result<Option<u32>, StorageError> {
        Ok(clipdb_migrations::format(&self.db()?, &self.dir)?)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn tree(&self, name: impl AsRef<[u8]>) -> Result<Tree, StorageError> {
        let tree = self.instance.tree(name);
        // Creates the tree if it does not exist.
        tree.open()
            .map_err(StorageError::sled("open a collection"))?;
        Ok(tree)
    }

    fn db(&self) -> Result<Db, StorageError> {
        self.instance
            .db()
            .map_err(StorageError::sled("open the database"))
    }

    /// The numbers of all collections with a tree.
    pub(crate) fn tree_numbers(&self) -> Result<Vec<u64>, StorageError> {
        let names = self.db()?.tree_names();
        let numbers = names.iter().filter_map(|name| layout::tree_number(name));
        Ok(numbers.collect())
    }

    /// Frees the pages of the tree. Not durable by itself: a tree without an entry in the catalog is
    /// dropped again at the next startup.
    pub(crate) fn drop_tree(&self, collection: u64) -> Result<(), StorageError> {
        self.db()?
            .drop_tree(layout::tree_name(collection))
            .map(|_| ())
            .map_err(StorageError::sled("drop a collection"))
    }

    /// Fails while writes are stopped.
    pub(crate) fn check_writable(&self) -> Result<(), StorageError> {
        match &*self.stopped.lock() {
            None => Ok(()),
            Some(stopped) => Err(stopped.error()),
        }
    }

    pub(crate) fn stopped(&self) -> Option<Stopped> {
        self.stopped.lock().clone()
    }

    /// Fails if the disk has too little free space for a write of `bytes`. sled cannot continue after
    /// a failed write, so no write starts that could run out of space.
    pub(crate) fn check_space(&self, bytes: u64) -> Result<(), StorageError> {
        // A group is written to sled, to the indexes and, its images, to separate files.
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

    /// The free bytes of the data folder's disk that this user may use.
    pub(crate) fn free_bytes(&self) -> Result<u64, StorageError> {
        let disk = rustix::fs::fstatvfs(&self.log)
            .map_err(|errno| StorageError::io("measure", &self.dir)(errno.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    pub(crate) fn reserve_bytes(&self) -> u64 {
        self.reserve_bytes
    }

    /// Applies the batch atomically; durable when it returns.
    ///
    /// After an error of sled its memory may differ from the disk, so writes are stopped until sled
    /// has been reopened.
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
                // Closing sled would write its part of the batch. This handle keeps it open.
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
        apply_with_retries(db, tree, batch)?;
        self.faults.reach(CommitStep::Flush)?;
        db.flush().map(|_| ())
    }

    /// Stops writes, unless another instance has been opened in the meantime.
    fn stop_at(&self, generation: u64, stop: Stop, error: &StorageError) {
        if self.instance.is_current(generation) {
            self.stop(stop, error);
        }
    }

    /// Stops writes. The first reason is kept.
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

    /// Periodic maintenance: detects a sled that has failed in the background, and reserves disk space
    /// again once there is some.
    pub(crate) fn maintain(&self) {
        if let Ok(db) = self.instance.db()
            && let Err(error) = db.context.global_error()
        {
            // Wakes a write that waits for a flush which failed on another thread.
            let _ = db.flush();
            let error = StorageError::sled("write")(error);
            if self.stopped().is_none() {
                self.stop(Stop::Broken, &error);
            }
        }
        self.ballast.refill(self.reserve_bytes);
    }

    /// Replaces a broken instance by reopening sled, if that is safe: all pages of the log are on the
    /// disk, there is free space, and the new instance passes `verify`. If it fails after the broken
    /// instance was closed, there is no instance until a later call succeeds.
    pub(crate) fn reopen(
        &self,
        verify: impl FnOnce(&Arc<Instance>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        // Our own descriptor reports every page that could not be written back since its last sync,
        // even if the error was reported to another descriptor before.
        if let Err(error) = self.sync() {
            self.stopped.lock().take();
            self.stop(Stop::NotSynced, &error);
            return Err(error);
        }
        self.ballast.ensure_space()?;
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

    /// Sets the thread that is unparked when writes stop.
    pub(crate) fn set_watcher(&self, thread: Thread) {
        // Set once, before the first write.
        let _ = self.watcher.set(thread);
    }

    /// Accepts writes again.
    pub(crate) fn resume(&self) {
        self.stopped.lock().take();
    }
}

/// Files that sled derives from its log: its settings, which we pass, and the page table.
const DERIVED: [&str; 2] = ["conf", "snap."];

/// Opens sled, without its derived files if one of them is corrupt. Whether that has lost writes is
/// checked against the durable sequences.
fn open_or_rebuild_derived(path: &Path, config: &sled::Config) -> Result<Db, StorageError> {
    let error = match open_when_released(config) {
        Ok(Ok(db)) => return Ok(db),
        Ok(Err(error @ (sled::Error::Corruption { .. } | sled::Error::Unsupported(_)))) => error,
        Ok(Err(error)) => return Err(StorageError::sled("open the database")(error)),
        Err(panic) => return Err(panic),
    };
    let removed = remove_derived(path)?;
    let opened = open_when_released(config)?.map_err(StorageError::sled("open the database"))?;
    tracing::warn!(%error, ?removed, "rebuilt corrupt files of sled from its log");
    Ok(opened)
}

/// Removes the files that sled rebuilds from its log, and returns their names.
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

/// Opens sled once its lock is free. sled releases its lock only when the last of its background
/// threads ends, possibly a moment after a store of this process was dropped. Since we hold the lock of
/// the folder, it will.
fn open_when_released(config: &sled::Config) -> Result<sled::Result<Db>, StorageError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match open_catching_panics(config)? {
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

/// sled panics if a corrupt log leaves a gap in its page table.
fn open_catching_panics(config: &sled::Config) -> Result<sled::Result<Db>, StorageError> {
    // After a panic the partially opened instance is not used.
    std::panic::catch_unwind(AssertUnwindSafe(|| config.open())).map_err(|panic| {
        StorageError::Damaged {
            what: "the log of sled in the data folder".into(),
            reason: panic
                .downcast_ref::<String>()
                .cloned()
                .unwrap_or_else(|| "sled cannot rebuild its page table".into()),
        }
    })
}
