//! Storage that broke is opened again.
//!
//! A sled that met an error while it wrote takes no more writes and cannot be mended in place. What
//! it left is what a kill leaves, so it is opened again as a start would, under the collections
//! that are served. Three things have to be shown first, or it stays stopped and says so: every
//! page that was written is on the disk, the catalog names each collection that is served, and
//! each holds all that was acknowledged, and at most one group more: the one that failed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::catalog::Catalog;
use crate::counters::Counters;
use crate::folder::Folder;
use crate::held::Held;
use crate::tree::Instance;
use crate::{StorageError, layout};

/// How often a look is taken.
const EVERY: Duration = Duration::from_secs(1);

/// Looks after the store for as long as it is open, on a thread of its own.
pub(crate) fn watch(folder: &Arc<Folder>) -> Result<(), StorageError> {
    let watched = Arc::downgrade(folder);
    let started = std::thread::Builder::new()
        .name("storage-watch".to_owned())
        .spawn(move || {
            while look(&watched).is_some() {
                // Woken when something stops.
                std::thread::park_timeout(EVERY);
            }
        });
    started
        .map(|started| folder.database.watched_by(started.thread().clone()))
        .map_err(StorageError::io(
            "start a thread for",
            folder.database.dir(),
        ))
}

/// `None` once the folder is closed.
fn look(folder: &Weak<Folder>) -> Option<()> {
    let folder = folder.upgrade()?;
    folder.database.look_after();
    let heals = folder.database.stopped().is_some_and(|stop| stop.heals());
    if heals {
        match heal(&folder) {
            Ok(()) => tracing::info!("storage was opened again and takes writes"),
            Err(error) => tracing::warn!(%error, "storage could not be opened again yet"),
        }
    }
    Some(())
}

fn heal(folder: &Folder) -> Result<(), StorageError> {
    // No collection is created, dropped or restored meanwhile.
    let _alone = folder.catalog.lock();
    let held: Vec<Held> = folder.collections.read().values().cloned().collect();
    folder.database.reopen(|fresh| verify(fresh, &held))?;
    for held in &held {
        if let Held::Whole(collection) = held {
            collection.refresh()?;
        }
    }
    folder.database.resume();
    Ok(())
}

fn verify(fresh: &Arc<Instance>, served: &[Held]) -> Result<(), StorageError> {
    let entries = Catalog::of(fresh).entries()?;
    let lost = |held: &Held, reason: String| StorageError::Damaged {
        what: format!("the collection {}", held.definition().name),
        reason,
    };
    for held in served {
        let (name, number) = (&held.definition().name, held.number());
        let entry = entries.iter().find(|entry| entry.definition.name == *name);
        if entry.is_none_or(|entry| entry.number != number) {
            return Err(lost(held, "its name leads elsewhere on the disk".into()));
        }
        let Held::Whole(collection) = held else {
            continue;
        };
        let found = Counters::read(&fresh.tree(layout::tree_name(number)))?.sequence;
        let acknowledged = collection.sequence();
        if found < acknowledged || found > acknowledged + 1 {
            let reason = format!("it is at group {found} on the disk, not {acknowledged}");
            return Err(lost(held, reason));
        }
    }
    Ok(())
}
