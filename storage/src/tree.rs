//! Replaceable access to sled: the instance that is currently open, and trees that resolve it on each
//! call.
//!
//! An instance accepts no more writes after an I/O error, so `heal` replaces it. A tree of sled itself
//! is never kept for longer than one call or one scan. While there is no instance, or a broken one
//! whose reads fail on pages that have to be split, calls fail with the kind
//! [`ErrorKind::ResourceBusy`].

use std::io::ErrorKind;
use std::ops::RangeBounds;
use std::sync::Arc;

use parking_lot::RwLock;
use sled::{Batch, Db, IVec};

/// The instance that is currently open.
pub(crate) struct Instance(RwLock<State>);

struct State {
    /// Increases with each instance.
    generation: u64,
    db: Option<Db>,
}

/// A tree of the instance that is currently open.
#[derive(Clone)]
pub(crate) struct Tree {
    instance: Arc<Instance>,
    name: Arc<[u8]>,
}

/// The entries of a scan, from both ends.
pub(crate) enum Entries {
    Open(Box<(sled::Iter, Db)>),
    /// There is no instance: yields one error.
    Closed(Option<sled::Error>),
}

/// Whether sled is in its error state, in which it writes nothing.
pub(crate) fn is_broken(db: &Db) -> bool {
    db.context.global_error().is_err()
}

/// Replaces I/O errors of a broken instance by [`closed`].
fn map_broken(db: &Db) -> impl Fn(sled::Error) -> sled::Error {
    move |error| match error {
        sled::Error::Io(_) if is_broken(db) => closed(),
        error => error,
    }
}

/// The error of calls while there is no instance.
fn closed() -> sled::Error {
    sled::Error::Io(std::io::Error::new(
        ErrorKind::ResourceBusy,
        "the database is being reopened",
    ))
}

impl Instance {
    pub(crate) fn new(db: Db) -> Arc<Self> {
        Arc::new(Self(RwLock::new(State {
            generation: 0,
            db: Some(db),
        })))
    }

    pub(crate) fn tree(self: &Arc<Self>, name: impl AsRef<[u8]>) -> Tree {
        Tree {
            instance: Arc::clone(self),
            name: name.as_ref().into(),
        }
    }

    /// The instance and its generation.
    pub(crate) fn current(&self) -> sled::Result<(u64, Db)> {
        let state = self.0.read();
        let db = state.db.clone().ok_or_else(closed)?;
        Ok((state.generation, db))
    }

    pub(crate) fn db(&self) -> sled::Result<Db> {
        self.current().map(|(_, db)| db)
    }

    /// Whether the instance of this generation is open.
    pub(crate) fn is_current(&self, generation: u64) -> bool {
        self.0.read().generation == generation
    }

    /// Removes the instance.
    pub(crate) fn take(&self) -> Option<Db> {
        self.0.write().db.take()
    }

    /// Sets a new instance.
    pub(crate) fn put(&self, db: Db) {
        let mut state = self.0.write();
        state.generation += 1;
        state.db = Some(db);
    }
}

impl Tree {
    /// The tree in the current instance; it is created if it does not exist.
    pub(crate) fn open(&self) -> sled::Result<sled::Tree> {
        self.instance.db()?.open_tree(&self.name)
    }

    /// The tree with its instance and the generation of the instance.
    pub(crate) fn current(&self) -> sled::Result<(u64, Db, sled::Tree)> {
        let (generation, db) = self.instance.current()?;
        let tree = db.open_tree(&self.name)?;
        Ok((generation, db, tree))
    }

    pub(crate) fn get(&self, key: impl AsRef<[u8]>) -> sled::Result<Option<IVec>> {
        let (_, db, tree) = self.current()?;
        tree.get(key).map_err(map_broken(&db))
    }

    pub(crate) fn contains_key(&self, key: impl AsRef<[u8]>) -> sled::Result<bool> {
        let (_, db, tree) = self.current()?;
        tree.contains_key(key).map_err(map_broken(&db))
    }

    pub(crate) fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Entries {
        self.entries(|tree| tree.scan_prefix(prefix))
    }

    pub(crate) fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Entries {
        self.entries(|tree| tree.range(range))
    }

    pub(crate) fn iter(&self) -> Entries {
        self.entries(sled::Tree::iter)
    }

    /// Applies the batch, which is not durable until sled is flushed.
    pub(crate) fn apply_batch(&self, batch: Batch) -> sled::Result<()> {
        self.open()?.apply_batch(batch)
    }

    fn entries(&self, scan: impl FnOnce(&sled::Tree) -> sled::Iter) -> Entries {
        match self.current() {
            Ok((_, db, tree)) => Entries::Open(Box::new((scan(&tree), db))),
            Err(error) => Entries::Closed(Some(error)),
        }
    }
}

impl Entries {
    pub(crate) fn keys(self) -> impl DoubleEndedIterator<Item = sled::Result<IVec>> {
        self.map(|entry| entry.map(|(key, _)| key))
    }
}

impl Iterator for Entries {
    type Item = sled::Result<(IVec, IVec)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Open(open) => {
                let (entries, db) = &mut **open;
                entries.next().map(|entry| entry.map_err(map_broken(db)))
            }
            Self::Closed(error) => error.take().map(Err),
        }
    }
}

impl DoubleEndedIterator for Entries {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::Open(open) => {
                let (entries, db) = &mut **open;
                entries
                    .next_back()
                    .map(|entry| entry.map_err(map_broken(db)))
            }
            Self::Closed(error) => error.take().map(Err),
        }
    }
}
