//! sled in the data folder, and what makes its batches durable.
//!
//! sled 0.34 flushes with `sync_file_range`, which writes pages back but neither the file's new
//! length nor the disk's own cache: enough for kill -9, not for power loss. So each flush is
//! followed by an `fdatasync` of its log. The files beside the log, in which sled keeps pages that
//! are too large for it, it never syncs at all; where there are any, the whole filesystem is synced.

use std::fs::{self, File};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sled::{Batch, Db, Tree};

use crate::lock::FolderLock;
use crate::witness::Witness;
use crate::{StorageError, StoreOptions, layout};

pub(crate) struct Database {
    db: Db,
    log: File,
    dir: PathBuf,
    /// Why nothing may be written any more.
    stopped: OnceLock<String>,
    reserve_bytes: u64,
    pub(crate) witness: Witness,
    _lock: FolderLock,
}

impl Database {
    /// Opens sled in `dir`, which must exist, and brings its format up to date.
    pub(crate) fn open(dir: &Path, options: &StoreOptions) -> Result<Self, StorageError> {
        let database = Self::open_as_it_is(dir, options)?;
        // sled's own tree is always there.
        let empty = database.db.tree_names().len() <= 1;
        if empty && database.witness.found.values().any(Option::is_some) {
            return Err(StorageError::LostWrites {
                dir: dir.into(),
                lost: "its database is gone".into(),
            });
        }
        let report = clipdb_migrations::migrate(&database.db, dir)?;
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
        let witness = Witness::open(dir)?;
        let db = open_or_mend(&path, &config)?;
        let log_path = path.join("db");
        let log = File::open(&log_path).map_err(StorageError::io("open", log_path))?;
        Ok(Database {
            db,
            log,
            dir: dir.into(),
            stopped: OnceLock::new(),
            reserve_bytes: options.reserve_bytes,
            witness,
            _lock: lock,
        })
    }

    /// The format's version; `None` where none was ever written.
    pub(crate) fn format(&self) -> Result<Option<u32>, StorageError> {
        Ok(clipdb_migrations::format(&self.db, &self.dir)?)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn tree(&self, name: impl AsRef<[u8]>) -> Result<Tree, StorageError> {
        self.db
            .open_tree(name)
            .map_err(StorageError::sled("open a collection"))
    }

    /// The numbers of all collections that have a tree.
    pub(crate) fn tree_numbers(&self) -> Vec<u64> {
        let names = self.db.tree_names();
        names
            .iter()
            .filter_map(|name| layout::tree_number(name))
            .collect()
    }

    /// Frees the tree's pages. Not durable by itself: a tree without an entry in the catalog is
    /// dropped again at the next start.
    pub(crate) fn drop_tree(&self, collection: u64) -> Result<(), StorageError> {
        self.db
            .drop_tree(layout::tree_name(collection))
            .map(|_| ())
            .map_err(StorageError::sled("drop a collection"))
    }

    /// Fails if a write has failed half-way before.
    pub(crate) fn check_writable(&self) -> Result<(), StorageError> {
        match self.stopped.get() {
            None => Ok(()),
            Some(reason) => Err(StorageError::Stopped {
                reason: reason.clone(),
            }),
        }
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
    /// After an error, memory may hold what the disk does not, so nothing is written any more.
    pub(crate) fn apply(&self, tree: &Tree, batch: Batch) -> Result<(), StorageError> {
        self.check_writable()?;
        let written = past_damage(|| tree.apply_batch(batch.clone()))
            .and_then(|()| self.db.flush().map(|_| ()))
            .map_err(StorageError::sled("write"))
            .and_then(|()| self.sync());
        written.inspect_err(|error| {
            tracing::error!(%error, "storage takes no more writes");
            // A failure before this one has set the reason already.
            let _ = self.stopped.set(error.to_string());
        })
    }

    fn sync(&self) -> Result<(), StorageError> {
        let large_pages = self.dir.join("sled/blobs");
        let none = fs::read_dir(&large_pages)
            .map_err(StorageError::io("list", &large_pages))?
            .next()
            .is_none();
        if none {
            self.log
                .sync_data()
                .map_err(StorageError::io("sync", self.dir.join("sled/db")))
        } else {
            self.sync_filesystem()
        }
    }

    /// Makes everything in the data folder durable.
    pub(crate) fn sync_filesystem(&self) -> Result<(), StorageError> {
        rustix::fs::syncfs(&self.log)
            .map_err(|errno| StorageError::io("sync", &self.dir)(errno.into()))
    }
}

/// Pages that cannot be read and that one call gets past.
const UNREADABLE: usize = 16;

/// While it reads or writes, sled moves pages of any tree out of the way, each once, and fails the
/// call where it cannot read one. A damaged collection would so stop the calls of all others. A
/// read changes nothing, and a batch says what is there after it: done again, it is as if it had
/// been done once. What fails each time is damaged itself.
pub(crate) fn past_damage<T>(call: impl Fn() -> sled::Result<T>) -> sled::Result<T> {
    let mut done = call();
    for _ in 0..UNREADABLE {
        match done {
            Err(error @ sled::Error::Corruption { .. }) => {
                done = call();
                if done.is_ok() {
                    tracing::warn!(%error, "a page of another collection cannot be read");
                }
            }
            done => return done,
        }
    }
    done
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
