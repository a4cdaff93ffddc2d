//! The state of an open data folder, shared by its [`Store`](crate::Store)s and its watcher thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::CollectionName;
use crate::catalog::Catalog;
use crate::database::Database;
use crate::handle::CollectionHandle;
use crate::snapshot::SnapshotStore;

pub(crate) struct Folder {
    pub database: Arc<Database>,
    pub collections: RwLock<BTreeMap<CollectionName, CollectionHandle>>,
    /// Locked while a collection is added, replaced or removed.
    pub catalog: Mutex<Catalog>,
    pub snapshots: SnapshotStore,
}
