//! Reopens sled after a failed write.
//!
//! A sled that has failed to write accepts no more writes and cannot be repaired in place. The state
//! on disk is that after a crash, so sled is reopened as at startup while the collections stay served.
//! Writes stay stopped unless three conditions hold: every written page is on the disk, the catalog
//! contains every served collection, and each of them has all acknowledged groups and at most one more,
//! the one that failed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::catalog::Catalog;
use crate::counters::Counters;
use crate::folder::Folder;
use crate::handle::CollectionHandle;
use crate::tree::Instance;
use crate::{StorageError, layout};

/// Interval of the maintenance.
const INTERVAL: Duration = Duration::from_secs(1);

/// Spawns a thread that maintains the database while the folder is open.
pub(crate) fn spawn_watcher(folder: &Arc<Folder>) -> Result<(), StorageError> {
    let watched = Arc::downgrade(folder);
    let started = std::thread::Builder::new()
        .name("storage-watch".to_owned())
        .spawn(move || {
            while maintain(&watched).is_some() {
                // Unparked when writes stop.
                std::thread::park_timeout(INTERVAL);
            }
        });
    started
        .map(|started| folder.database.set_watcher(started.thread().clone()))
        .map_err(StorageError::io(
            "spawn a thread for",
            folder.database.dir(),
        ))
}

/// `None` once the folder is closed.
fn maintain(folder: &Weak<Folder>) -> Option<()> {
    let folder = folder.upgrade()?;
    folder.database.maintain();
    let heals = folder.database.stopped().is_some_and(|stop| stop.heals());
    if heals {
        match heal(&folder) {
            Ok(()) => tracing::info!("storage was reopened and takes writes"),
            Err(error) => tracing::warn!(%error, "storage could not be reopened yet"),
        }
    }
    Some(())
}

fn heal(folder: &Folder) -> Result<(), StorageError> {
    // No collection is created, dropped or restored meanwhile.
    let _alone = folder.catalog.lock();
    let open: Vec<CollectionHandle> = folder.collections.read().values().cloned().collect();
    folder.database.reopen(|fresh| verify(fresh, &open))?;
    for handle in &open {
        if let CollectionHandle::Intact(collection) = handle {
            collection.refresh()?;
        }
    }
    folder.database.resume();
    Ok(())
}

fn verify(fresh: &Arc<Instance>, open: &[CollectionHandle]) -> Result<(), StorageError> {
    let entries = Catalog::of(fresh).entries()?;
    let lost = |handle: &CollectionHandle, reason: String| StorageError::Damaged {
        what: format!("the collection {}", handle.definition().name),
        reason,
    };
    for handle in open {
        let (name, number) = (&handle.definition().name, handle.number());
        let entry = entries.iter().find(|entry| entry.definition.name == *name);
        if entry.is_none_or(|entry| entry.number != number) {
            return Err(lost(
                handle,
                "its catalog entry on disk is another one".into(),
            ));
        }
        let CollectionHandle::Intact(collection) = handle else {
            continue;
        };
        let found = Counters::read(&fresh.tree(layout::tree_name(number)))?.sequence;
        let acknowledged = collection.sequence();
        if found < acknowledged || found > acknowledged + 1 {
            let reason = format!("it is at group {found} on disk, not {acknowledged}");
            return Err(lost(handle, reason));
        }
    }
    Ok(())
}
