//! Snapshots and restores, as tasks. A restored collection is indexed before its name leads to
//! it, so that searches go from the old one to the new one in one step.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::PathBuf;
use std::sync::Arc;

use clipdb_storage::{CollectionName, SnapshotStore, SnapshotId, SnapshotInfo, StorageError};
use serde_json::Value;

use super::committer::Closed;
use super::definition::check_restorable;
use super::served::Served;
use super::tasks::{Task, TaskKind};
use super::{Engine, NO_MODEL, blocking};
use crate::error::ApiError;

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
    pub fn begin_snapshot(self: &Arc<Self>, name: &CollectionName) -> Result<Arc<Task>, ApiError> {
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
    ) -> Result<Vec<SnapshotInfo>, ApiError> {
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
    ) -> Result<(SnapshotInfo, File), ApiError> {
        let engine = Arc::clone(self);
        blocking(move || engine.find_snapshot(&name, &id)).await?
    }

    pub async fn remove_snapshot(
        self: &Arc<Self>,
        name: CollectionName,
        id: SnapshotId,
    ) -> Result<(), ApiError> {
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
    ) -> Result<Arc<Task>, ApiError> {
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
    ) -> Result<Value, ApiError> {
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
        let restored = self.make_collection(incoming.collection().clone())?;
        if let Err(error) = restored
            .open()
            .and_then(|_| restored.wait_until_searchable(None))
        {
            restored.close(Closed::Dropped);
            return Err(error);
        }
        let served = Served::Open(Arc::clone(&restored));
        let give_up = || {
            restored.close(Closed::Dropped);
            self.remove_index(&served);
        };
        if task.is_cancelled() {
            give_up();
            return Err(ApiError::TaskCancelled(task.id.clone()));
        }
        // What is replaced must not be replaced or dropped by another meanwhile.
        let _alone = self.defining.lock();
        let replaced = self.collections.read().get(&name).cloned();
        if let Some(Served::Open(replaced)) = &replaced {
            // From here on its writers are told to send again: to the restored one.
            replaced.close(Closed::Replaced);
        }
        if let Err(error) = self.store.adopt(incoming) {
            give_up();
            if let Some(Served::Open(_)) = &replaced {
                let again = self.make_collection(self.store.collection(&name)?)?;
                self.serve(name, Served::Open(again));
            }
            return Err(error.into());
        }
        self.serve(name, served.clone());
        if let Some(replaced) = &replaced {
            self.remove_index(replaced);
        }
        serde_json::to_value(restored.summary()).map_err(|_| ApiError::Interrupted)
    }

    fn find_snapshot(
        &self,
        name: &CollectionName,
        id: &SnapshotId,
    ) -> Result<(SnapshotInfo, File), ApiError> {
        let info = self
            .shelf()
            .find(name, id)?
            .ok_or_else(|| not_found(name, id))?;
        Ok((info, self.shelf().file(name, id)?))
    }
}

fn not_found(name: &CollectionName, id: &SnapshotId) -> ApiError {
    ApiError::SnapshotNotFound {
        collection: name.clone(),
        id: id.as_str().to_owned(),
    }
}

/// The snapshot as JSON; it is made of strings and numbers alone.
fn described(info: &SnapshotInfo) -> Value {
    serde_json::to_value(info).unwrap_or_default()
}
