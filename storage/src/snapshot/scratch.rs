//! A scratch database in which values of an older format are migrated like a data folder.

use std::fs;
use std::path::PathBuf;

use sled::{Batch, Db};

use super::{Manifest, RawEntry};
use crate::database::Database;
use crate::tree::{Instance, Tree};
use crate::{StorageError, layout};

/// Values per batch.
const BATCH: usize = 256;

pub(super) struct Scratch {
    db: Db,
    tree: Tree,
    dir: PathBuf,
}

impl Scratch {
    pub(super) fn new(
        database: &Database,
        manifest: &Manifest,
        (name, definition): &RawEntry,
    ) -> Result<Self, StorageError> {
        let dir = database
            .dir()
            .join("snapshots")
            .join(format!("{}.partial", uuid::Uuid::now_v7()));
        fs::create_dir_all(&dir).map_err(StorageError::io("create", &dir))?;
        let failed = StorageError::sled("create a scratch database");
        let create = || -> sled::Result<Db> {
            let db = sled::Config::new()
                .path(dir.join("sled"))
                .segment_size(layout::SEGMENT_BYTES)
                .flush_every_ms(None)
                .open()?;
            db.open_tree(layout::CATALOG)?
                .insert(name.as_slice(), definition.as_slice())?;
            Ok(db)
        };
        let db = create().map_err(failed)?;
        let tree = Instance::new(db.clone()).tree(layout::tree_name(manifest.number));
        clipdb_migrations::begin(&db, manifest.format)?;
        Ok(Scratch { db, tree, dir })
    }

    pub(super) fn tree(&self) -> Tree {
        self.tree.clone()
    }

    /// Migrates the values and copies them to the tree `number`.
    pub(super) fn migrate_into(
        &self,
        database: &Database,
        number: u64,
    ) -> Result<(), StorageError> {
        clipdb_migrations::migrate(&self.db, &self.dir)?;
        let target = database.tree(layout::tree_name(number))?;
        let mut batch = Batch::default();
        for (entry, n) in self.tree.iter().zip(1..) {
            let (key, value) = entry.map_err(StorageError::sled("read a scratch database"))?;
            batch.insert(key, value);
            if n % BATCH == 0 {
                database.check_space(0)?;
                database.apply(&target, std::mem::take(&mut batch))?;
            }
        }
        database.apply(&target, batch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that cannot be removed now is removed at the next startup.
        let _ = fs::remove_dir_all(&self.dir);
    }
}
