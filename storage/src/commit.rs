//! Commits a group of writes as one batch.
//!
//! The group is applied in memory (`plan`); then only the difference between before and after is
//! written: first the image files, durable under their final names, then the batch. A crash therefore
//! leaves all or nothing of the group, and possibly image files that no document references, which are
//! removed at the next startup.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sled::Batch;

use crate::counters::Counters;
use crate::fault::CommitStep;
use crate::files::{Files, encode_key};
use crate::plan::{Plan, Stored, Version};
use crate::retry::retry_corruption;
use crate::{BlobHash, DocumentKey, Guard, Outcome, StorageError, Write, layout, record};

/// Commits the group and returns the counters after it. `before_removal` gets the versions that the
/// group removes while they can still be read.
pub(crate) fn commit(
    files: &Files,
    before: Counters,
    group: Vec<Write>,
    guard: Guard<'_>,
    before_removal: impl FnOnce(&[DocumentKey]),
) -> Result<(Counters, Vec<Outcome>), StorageError> {
    files.database.check_writable()?;
    for write in &group {
        write.check(&files.definition)?;
    }
    check_space(files, &group)?;
    let mut plan = Plan::new(files, before, guard);
    let outcomes = group
        .into_iter()
        .map(|write| plan.apply(write))
        .collect::<Result<Vec<_>, _>>()?;
    let Some((after, changed)) = plan.finish() else {
        return Ok((before, outcomes));
    };
    let mut changes = Changes::default();
    for change in changed {
        if let Some(stored) = change.stored {
            changes.remove(files, stored)?;
        }
        match change.version {
            Some(version) => changes.insert(*version)?,
            None => changes.batch.remove(layout::id(&change.id)),
        }
    }
    after.write(&mut changes.batch)?;
    write_images(files, &changes.added_images)?;
    before_removal(&changes.removed_versions);
    files.database.apply(&files.tree, changes.batch)?;
    remove_unreferenced(files, &changes.released_images);
    Ok((after, outcomes))
}

/// Deletes may use half of the reserve, since they free space.
fn check_space(files: &Files, group: &[Write]) -> Result<(), StorageError> {
    let database = &files.database;
    let delete = |write: &Write| matches!(write, Write::Delete(_) | Write::DeleteVersion { .. });
    if group.iter().all(delete) && database.free_bytes()? >= database.reserve_bytes() / 2 {
        return Ok(());
    }
    database.check_space(group.iter().map(Write::bytes).sum())
}

#[derive(Default)]
struct Changes {
    batch: Batch,
    /// Images whose bytes the group brings.
    added_images: BTreeMap<BlobHash, Bytes>,
    /// Versions that the group removes.
    removed_versions: Vec<DocumentKey>,
    /// Images that lose a reference.
    released_images: BTreeSet<BlobHash>,
}

impl Changes {
    /// Removes the values of a version. They are found by their keys, so that a corrupt record can be
    /// removed too.
    fn remove(&mut self, files: &Files, stored: Stored) -> Result<(), StorageError> {
        self.removed_versions.push(stored.key);
        let keys = |prefix: &[u8]| -> sled::Result<Vec<sled::IVec>> {
            retry_corruption(|| files.tree.scan_prefix(prefix).keys().collect())
        };
        for prefix in [layout::parts(stored.key), layout::vectors(stored.key)] {
            let keys = keys(&prefix).map_err(StorageError::sled("read a document"))?;
            keys.into_iter().for_each(|key| self.batch.remove(key));
        }
        let image = match stored.document {
            Some(document) => document.image.map(|image| image.hash),
            None => find_image(files, stored.key)?,
        };
        if let Some(hash) = image {
            self.batch.remove(layout::reference(&hash, stored.key));
            self.released_images.insert(hash);
        }
        Ok(())
    }

    fn insert(&mut self, version: Version) -> Result<(), StorageError> {
        let document = &version.document;
        let id_key = layout::id(&document.id);
        let current = encode_key(&id_key, document.key);
        self.batch.insert(id_key, current);
        for (key, value) in record::encode(document)? {
            self.batch.insert(key, value);
        }
        for (key, value) in record::encode_vectors(document.key, &version.vectors) {
            self.batch.insert(key, value);
        }
        if let Some(image) = &document.image {
            self.batch
                .insert(layout::reference(&image.hash, document.key), &[]);
            if let Some(bytes) = version.image_bytes {
                self.added_images.insert(image.hash, bytes);
            }
        }
        Ok(())
    }
}

/// Writes the images that are not stored yet. A file counts as stored only if a document references
/// it: one that a failed group has left may not be durable.
fn write_images(
    files: &Files,
    added_images: &BTreeMap<BlobHash, Bytes>,
) -> Result<(), StorageError> {
    let mut missing = Vec::new();
    for (hash, bytes) in added_images {
        if !(files.is_referenced(hash)? && files.images.contains(hash, bytes)) {
            missing.push((hash, bytes));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    (files.database.faults.reach(CommitStep::WriteImages))
        .map_err(StorageError::io("write", files.database.dir()))?;
    files.images.write(&missing)
}

/// The image of a version whose record is corrupt.
fn find_image(files: &Files, of: DocumentKey) -> Result<Option<BlobHash>, StorageError> {
    for reference in files.tree.scan_prefix(layout::REFERENCES).keys() {
        let reference = reference.map_err(StorageError::sled("list image references"))?;
        let (hash, key) = layout::reference_of(&reference)?;
        if key == of {
            return Ok(Some(hash));
        }
    }
    Ok(None)
}

/// Removes images without references. The group is durable already, so a failure only leaves a file
/// for the next startup to remove.
fn remove_unreferenced(files: &Files, images: &BTreeSet<BlobHash>) {
    for hash in images {
        match files.is_referenced(hash) {
            Ok(true) => {}
            Ok(false) => files.images.remove(hash),
            Err(error) => {
                tracing::warn!(%hash, %error, "cannot determine whether an image is referenced");
            }
        }
    }
}
