//! Snapshots and restores, as tasks. A restored collection is indexed before its name leads to
//! it, so that searches go from the old one to the new one in one step.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::PathBuf;
use std::sync::Arc;

use clipdb_storage::{CollectionName, SnapshotId, SnapshotInfo, SnapshotStore, StorageError};
use serde_json::Value;

use crate::blocking::blocking;
use crate::collection::closed::Closed;
use crate::collection::collection::Collection;
use crate::collection::definition::NO_MODEL;
use crate::collection::definition::check_restorable;
use crate::collection::slot::CollectionSlot;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::tasks::{Task, TaskKind};

/// Where an archive to be restored comes from.
pub enum ArchiveSource {
    Snapshot {
        collection: CollectionName,
        id: SnapshotId,
    },
    /// A file that is removed afterwards.
    Upload(PathBuf),
}

impl Engine {
    pub fn shelf(&self) -> &SnapshotStore {
        self.store.snapshots()
    }

    /// Begins a snapshot of the collection as it is now.
    pub fn begin_snapshot(
        self: &Arc<Self>,
        name: &CollectionName,
    ) -> Result<Arc<Task>, EngineError> {
        let collection = self.collection(name)?;
        let engine = Arc::clone(self);
        self.tasks
            .start(TaskKind::Snapshot, name.clone(), move |task| {
                let info = engine.shelf().take(&collection.store, task)?;
                Ok(described(&info))
            })
    }

    /// Those of the collection, which may be gone by now; an error where there never was one.
    pub async fn snapshots(
        self: &Arc<Self>,
        name: CollectionName,
    ) -> Result<Vec<SnapshotInfo>, EngineError> {
        let engine = Arc::clone(self);
        blocking(move || {
            let found = engine.shelf().list(&name)?;
            if found.is_empty() {
                engine.collection(&name)?;
            }
            Ok(found)
        })
        .await?
    }

    /// The snapshot and its archive, to be read.
    pub async fn open_snapshot(
        self: &Arc<Self>,
        name: CollectionName,
        id: SnapshotId,
    ) -> Result<(SnapshotInfo, File), EngineError> {
        let engine = Arc::clone(self);
        blocking(move || engine.find_snapshot(&name, &id)).await?
    }

    pub async fn remove_snapshot(
        self: &Arc<Self>,
        name: CollectionName,
        id: SnapshotId,
    ) -> Result<(), EngineError> {
        let engine = Arc::clone(self);
        blocking(move || match engine.shelf().remove(&name, &id)? {
            true => Ok(()),
            false => Err(not_found(&name, &id)),
        })
        .await?
    }

    /// Begins to restore an archive as the collection `name`, in the place of one of the same
    /// definition where there is one.
    pub fn begin_restore(
        self: &Arc<Self>,
        name: CollectionName,
        source: ArchiveSource,
    ) -> Result<Arc<Task>, EngineError> {
        let engine = Arc::clone(self);
        self.tasks
            .start(TaskKind::Restore, name.clone(), move |task| {
                let upload = match &source {
                    ArchiveSource::Upload(path) => Some(path.clone()),
                    ArchiveSource::Snapshot { .. } => None,
                };
                let restored = engine.restore(name, source, task);
                if let Some(path) = upload
                    && let Err(error) = std::fs::remove_file(&path)
                {
                    tracing::warn!(path = %path.display(), %error, "an uploaded snapshot is removed at the next start");
                }
                restored
            })
    }

    fn restore(
        &self,
        name: CollectionName,
        source: ArchiveSource,
        task: &Task,
    ) -> Result<Value, EngineError> {
        let mut file = match &source {
            ArchiveSource::Snapshot { collection, id } => self.find_snapshot(collection, id)?.1,
            ArchiveSource::Upload(path) => File::open(path).map_err(|source| StorageError::Io {
                action: "open",
                path: path.clone(),
                source,
            })?,
        };
        let mut definition = clipdb_storage::read_manifest(&mut file)?.definition;
        definition.name = name.clone();
        check_restorable(&definition)?;
        if definition.model != NO_MODEL {
            // Vectors of a model that is not loaded could be compared with nothing.
            self.models.of(&definition)?;
        }
        file.rewind().map_err(|error| StorageError::BadSnapshot {
            reason: error.to_string(),
        })?;
        let archive = BufReader::with_capacity(1 << 18, file);
        let incoming = self.store.restore(archive, definition, task)?;
        let restored = Unserved::new(self, self.make_collection(incoming.collection().clone())?);
        restored.collection.open()?;
        restored.collection.wait_until_searchable(None)?;
        if task.is_cancelled() {
            return Err(EngineError::TaskCancelled(task.id.clone()));
        }
        // No other task may replace or drop what is replaced here.
        let _alone = self.defining.lock();
        let replaced = Replaced::close(self, &name);
        self.store.adopt(incoming)?;
        let collection = restored.keep();
        self.serve(name, CollectionSlot::Open(Arc::clone(&collection)));
        replaced.remove();
        serde_json::to_value(collection.summary()).map_err(|_| EngineError::Interrupted)
    }

    fn find_snapshot(
        &self,
        name: &CollectionName,
        id: &SnapshotId,
    ) -> Result<(SnapshotInfo, File), EngineError> {
        let info = self
            .shelf()
            .find(name, id)?
            .ok_or_else(|| not_found(name, id))?;
        Ok((info, self.shelf().file(name, id)?))
    }
}

/// A restored collection that no name leads to yet. Unless it is kept, dropping it removes it.
struct Unserved<'a> {
    engine: &'a Engine,
    collection: Arc<Collection>,
    is_kept: bool,
}

impl<'a> Unserved<'a> {
    fn new(engine: &'a Engine, collection: Arc<Collection>) -> Self {
        Self {
            engine,
            collection,
            is_kept: false,
        }
    }

    fn keep(mut self) -> Arc<Collection> {
        self.is_kept = true;
        Arc::clone(&self.collection)
    }
}

impl Drop for Unserved<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.collection.close(Closed::Dropped);
            let slot = CollectionSlot::Open(Arc::clone(&self.collection));
            self.engine.remove_index(&slot);
        }
    }
}

/// The collection that a restore replaces, closed: its writers are asked to send again. Unless it
/// is removed, dropping this serves it again. Held together with the engine's lock of makers.
struct Replaced<'a> {
    engine: &'a Engine,
    slot: Option<CollectionSlot>,
}

impl<'a> Replaced<'a> {
    fn close(engine: &'a Engine, name: &CollectionName) -> Self {
        let slot = engine.collections.read().get(name).cloned();
        if let Some(CollectionSlot::Open(replaced)) = &slot {
            replaced.close(Closed::Replaced);
        }
        Self { engine, slot }
    }

    /// Another collection has its name now.
    fn remove(mut self) {
        if let Some(slot) = self.slot.take() {
            self.engine.remove_index(&slot);
        }
    }
}

impl Drop for Replaced<'_> {
    fn drop(&mut self) {
        let Some(CollectionSlot::Open(replaced)) = self.slot.take() else {
            return;
        };
        let name = replaced.definition().name.clone();
        let again = match self.engine.store.collection(&name) {
            Ok(store) => self.engine.make_collection(store),
            Err(error) => Err(error.into()),
        };
        match again {
            Ok(again) => self.engine.serve(name, CollectionSlot::Open(again)),
            Err(error) => {
                tracing::error!(collection = %name, %error, "a collection could not be opened again after a restore in its place failed; restart the server");
            }
        }
    }
}

fn not_found(name: &CollectionName, id: &SnapshotId) -> EngineError {
    EngineError::SnapshotNotFound {
        collection: name.clone(),
        id: id.as_str().to_owned(),
    }
}

/// The snapshot as JSON; it is made of strings and numbers alone.
fn described(info: &SnapshotInfo) -> Value {
    serde_json::to_value(info).unwrap_or_default()
}

#[cfg(test)]
mod tests;
