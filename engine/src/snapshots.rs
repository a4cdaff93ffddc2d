//! Snapshots and restores, as tasks. A restored collection is indexed before it gets its slot, so
//! searches switch from the old collection to the new one in one step.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::PathBuf;
use std::sync::Arc;

use clipdb_storage::{CollectionName, SnapshotId, SnapshotInfo, SnapshotStore, StorageError};
use serde_json::Value;

use crate::blocking::blocking;
use crate::collection::closed::CloseReason;
use crate::collection::collection::Collection;
use crate::collection::definition::NO_MODEL;
use crate::collection::definition::check_restorable;
use crate::collection::slot::CollectionSlot;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::tasks::{Task, TaskKind};

/// The source of an archive to be restored.
pub enum ArchiveSource {
    /// A snapshot of the server.
    Snapshot {
        /// The collection that it was taken of.
        collection: CollectionName,
        /// Its id.
        id: SnapshotId,
    },
    /// An uploaded file, which is deleted after the restore.
    Upload(PathBuf),
}

impl Engine {
    /// The store of snapshots.
    pub fn shelf(&self) -> &SnapshotStore {
        self.store.snapshots()
    }

    /// Starts a task that takes a snapshot of the collection in its present state.
    ///
    /// # Errors
    /// Those of [`Engine::collection`], [`EngineError::TooManyTasks`] or [`EngineError::Stopping`].
    pub fn begin_snapshot(
        self: &Arc<Self>,
        name: &CollectionName,
    ) -> Result<Arc<Task>, EngineError> {
        let collection = self.collection(name)?;
        let engine = Arc::clone(self);
        self.tasks
            .start(TaskKind::Snapshot, name.clone(), move |task| {
                let info = engine.shelf().take(&collection.store, task)?;
                Ok(to_json(&info))
            })
    }

    /// The snapshots of collection `name`, which may have been deleted since.
    ///
    /// # Errors
    /// Those of [`Engine::collection`] if there is no snapshot either, or storage failed.
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

    /// A snapshot's description and its archive, opened for reading.
    ///
    /// # Errors
    /// [`EngineError::SnapshotNotFound`], or storage failed.
    pub async fn open_snapshot(
        self: &Arc<Self>,
        name: CollectionName,
        id: SnapshotId,
    ) -> Result<(SnapshotInfo, File), EngineError> {
        let engine = Arc::clone(self);
        blocking(move || engine.find_snapshot(&name, &id)).await?
    }

    /// Deletes a snapshot.
    ///
    /// # Errors
    /// [`EngineError::SnapshotNotFound`], or storage failed.
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

    /// Starts a task that restores an archive as the collection `name`, replacing an existing one if
    /// its definition is the same.
    ///
    /// # Errors
    /// [`EngineError::TooManyTasks`] or [`EngineError::Stopping`]; the task reports all others.
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
                    tracing::warn!(path = %path.display(), %error, "could not delete an uploaded snapshot; the next startup deletes it");
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
            // Without its model loaded, the collection could not be searched by meaning.
            self.models.of(&definition)?;
        }
        file.rewind().map_err(|error| StorageError::BadSnapshot {
            reason: error.to_string(),
        })?;
        let archive = BufReader::with_capacity(1 << 18, file);
        let incoming = self.store.restore(archive, definition, task)?;
        let restored = Unpublished::new(self, self.make_collection(incoming.collection().clone())?);
        restored.collection.open()?;
        restored.collection.wait_until_searchable(None)?;
        if task.is_cancelled() {
            return Err(EngineError::TaskCancelled(task.id.clone()));
        }
        // No other task may replace or drop the collection that is replaced here.
        let _guard = self.defining.lock();
        let replaced = Replaced::close(self, &name);
        self.store.adopt(incoming)?;
        let collection = restored.keep();
        self.insert_slot(name, CollectionSlot::Open(Arc::clone(&collection)));
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

/// A restored collection that has no slot yet. Dropping this deletes it, unless it was kept.
struct Unpublished<'a> {
    engine: &'a Engine,
    collection: Arc<Collection>,
    is_kept: bool,
}

impl<'a> Unpublished<'a> {
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

impl Drop for Unpublished<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.collection.close(CloseReason::Dropped);
            let slot = CollectionSlot::Open(Arc::clone(&self.collection));
            self.engine.remove_index(&slot);
        }
    }
}

/// The closed collection that a restore replaces: its writers are asked to send again. Dropping
/// this opens it again, unless it was removed. Held together with `Engine::defining`.
struct Replaced<'a> {
    engine: &'a Engine,
    slot: Option<CollectionSlot>,
}

impl<'a> Replaced<'a> {
    fn close(engine: &'a Engine, name: &CollectionName) -> Self {
        let slot = engine.collections.read().get(name).cloned();
        if let Some(CollectionSlot::Open(replaced)) = &slot {
            replaced.close(CloseReason::Replaced);
        }
        Self { engine, slot }
    }

    /// Deletes its index, once the new collection has its slot.
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
        let reopened = match self.engine.store.collection(&name) {
            Ok(store) => self.engine.make_collection(store),
            Err(error) => Err(error.into()),
        };
        match reopened {
            Ok(collection) => self
                .engine
                .insert_slot(name, CollectionSlot::Open(collection)),
            Err(error) => {
                tracing::error!(collection = %name, %error, "could not reopen a collection after the restore that would have replaced it failed; restart the server");
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

/// The snapshot as JSON. It consists of strings and numbers, so this cannot fail.
fn to_json(info: &SnapshotInfo) -> Value {
    serde_json::to_value(info).unwrap_or_default()
}

#[cfg(test)]
mod tests;
