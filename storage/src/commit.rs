//! How a group of writes becomes one batch.
//!
//! The group is played through in memory (`plan`); then only the difference between before and
//! after is written: image files first, durable under their names, then the batch. So a crash
//! leaves the group as a whole or not at all, beside image files that no document refers to, which
//! the next start sweeps.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sled::Batch;

use crate::counters::Counters;
use crate::fault::CommitStep;
use crate::files::{Files, encode_key};
use crate::plan::{Plan, Stored, Version};
use crate::retry::past_damage;
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
    check_room(files, &group)?;
    let mut plan = Plan::new(files, before, guard);
    let outcomes = group
        .into_iter()
        .map(|write| plan.play(write))
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
    write_images(files, &changes.arriving)?;
    before_removal(&changes.versions);
    files.database.apply(&files.tree, changes.batch)?;
    remove_unreferenced(files, &changes.leaving);
    Ok((after, outcomes))
}

/// Deletes may use half of the reserve: they are a way to get space back.
fn check_room(files: &Files, group: &[Write]) -> Result<(), StorageError> {
    let database = &files.database;
    let delete = |write: &Write| matches!(write, Write::Delete(_) | Write::DeleteVersion { .. });
    if group.iter().all(delete) && database.free_bytes()? >= database.reserve_bytes() / 2 {
        return Ok(());
    }
    database.check_room(group.iter().map(Write::bytes).sum())
}

#[derive(Default)]
struct Changes {
    batch: Batch,
    /// Images whose bytes came with the group.
    arriving: BTreeMap<BlobHash, Bytes>,
    /// Versions that are removed.
    versions: Vec<DocumentKey>,
    /// Images that lost a reference.
    leaving: BTreeSet<BlobHash>,
}

impl Changes {
    /// Removes what the version stored, found by its keys: a damaged record can be removed too.
    fn remove(&mut self, files: &Files, stored: Stored) -> Result<(), StorageError> {
        self.versions.push(stored.key);
        let keys = |prefix: &[u8]| -> sled::Result<Vec<sled::IVec>> {
            past_damage(|| files.tree.scan_prefix(prefix).keys().collect())
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
            self.leaving.insert(hash);
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
                self.arriving.insert(image.hash, bytes);
            }
        }
        Ok(())
    }
}

/// An image is left out only where a stored document vouches for its file: one that a failed group
/// left behind may not be durable.
fn write_images(files: &Files, arriving: &BTreeMap<BlobHash, Bytes>) -> Result<(), StorageError> {
    let mut missing = Vec::new();
    for (hash, bytes) in arriving {
        if !(files.is_referenced(hash)? && files.images.holds(hash, bytes)) {
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

/// The image of a version whose record cannot be read.
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

/// The group is durable already, so a failure here is no more than a file to sweep later.
fn remove_unreferenced(files: &Files, images: &BTreeSet<BlobHash>) {
    for hash in images {
        match files.is_referenced(hash) {
            Ok(true) => {}
            Ok(false) => files.images.remove(hash),
            Err(error) => tracing::warn!(%hash, %error, "cannot tell whether an image is needed"),
        }
    }
}
