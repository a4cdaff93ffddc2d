//! The state that an open data folder's handles and its background thread share.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::CollectionName;
use crate::catalog::Catalog;
use crate::database::Database;
use crate::held::Held;
use crate::snapshot::Shelf;

pub(crate) struct Folder {
    pub database: Arc<Database>,
    pub collections: RwLock<BTreeMap<CollectionName, Held>>,
    /// Locked while a collection is added, replaced or removed.
    pub catalog: Mutex<Catalog>,
    pub shelf: Shelf,
}
