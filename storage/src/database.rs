//! sled in the data folder, and what makes its batches durable.
//!
//! sled 0.34 flushes with `sync_file_range`, which writes pages back but neither the file's new
//! length nor the disk's own cache: enough for kill -9, not for power loss. So each flush is
//! followed by an `fdatasync` of its log. The files beside the log, in which sled keeps pages that
//! are too large for it, it never syncs at all; where there are any, the whole filesystem is synced.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sled::{Batch, Db, Tree};

use crate::lock::FolderLock;
use crate::{StorageError, StoreOptions, layout};

pub(crate) struct Database {
    db: Db,
    log: File,
    dir: PathBuf,
    /// Why nothing may be written any more.
    stopped: OnceLock<String>,
    _lock: FolderLock,
}

impl Database {
    /// Opens sled in `dir`, which must exist, and brings its format up to date.
    pub(crate) fn open(dir: &Path, options: &StoreOptions) -> Result<Self, StorageError> {
        let lock = FolderLock::take(dir)?;
        let path = dir.join("sled");
        let config = sled::Config::new()
            .path(&path)
            .cache_capacity(options.cache_bytes)
            .segment_size(layout::SEGMENT_BYTES)
            // Every commit flushes by itself. (`mode` has no effect in sled 0.34.)
            .flush_every_ms(None);
        let db = open_when_released(&config)?;
        let log_path = path.join("db");
        let log = File::open(&log_path).map_err(StorageError::io("open", log_path))?;
        let report = clipdb_migrations::migrate(&db, dir)?;
        if report.steps > 0 {
            tracing::info!(
                from = report.from,
                steps = report.steps,
                "the data folder's format was changed"
            );
        }
        Ok(Database {
            db,
            log,
            dir: dir.into(),
            stopped: OnceLock::new(),
            _lock: lock,
        })
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

    /// Applies the batch as one; durable when it returns.
    ///
    /// After an error, memory may hold what the disk does not, so nothing is written any more.
    pub(crate) fn apply(&self, tree: &Tree, batch: Batch) -> Result<(), StorageError> {
        self.check_writable()?;
        let written = tree
            .apply_batch(batch)
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

/// sled's own lock is let go only when the last of its background threads ends, which may be a
/// moment after a store in this process was dropped. We hold the folder's lock, so it will be.
fn open_when_released(config: &sled::Config) -> Result<Db, StorageError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match config.open() {
            Err(sled::Error::Io(error))
                if error.to_string().contains("could not acquire lock")
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            opened => return opened.map_err(StorageError::sled("open the database")),
        }
    }
}
