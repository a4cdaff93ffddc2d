//! sled as others see it: a handle to the instance that is open now, and trees that find it there.
//!
//! An instance that met an I/O error takes no more writes for as long as it lives, so a heal opens
//! another in its place. Nobody holds a tree of sled itself for longer than one call or one scan.
//! While there is no instance, or only a broken one, whose reads may fail where they meet a page that
//! would have to be split, a call that fails does so with the kind [`ErrorKind::ResourceBusy`].

use std::io::ErrorKind;
use std::ops::RangeBounds;
use std::sync::Arc;

use parking_lot::RwLock;
use sled::{Batch, Db, IVec};

/// The open instance.
pub(crate) struct Instance(RwLock<State>);

struct State {
    /// Rises with each instance.
    generation: u64,
    db: Option<Db>,
}

/// A tree of whichever instance is open.
#[derive(Clone)]
pub(crate) struct Tree {
    instance: Arc<Instance>,
    name: Arc<[u8]>,
}

/// The entries of a scan, from both ends.
pub(crate) enum Entries {
    Open(Box<(sled::Iter, Db)>),
    /// There was no instance: one error and no more.
    Closed(Option<sled::Error>),
}

/// Whether sled is in its error state: it writes nothing any more.
pub(crate) fn is_broken(db: &Db) -> bool {
    db.context.global_error().is_err()
}

/// The same error, unless it is only that the instance is broken.
fn of_broken(db: &Db) -> impl Fn(sled::Error) -> sled::Error {
    move |error| match error {
        sled::Error::Io(_) if is_broken(db) => closed(),
        error => error,
    }
}

/// What a call is answered while there is no instance.
fn closed() -> sled::Error {
    sled::Error::Io(std::io::Error::new(
        ErrorKind::ResourceBusy,
        "the database has to be opened again",
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

    /// Whether it is the instance of this generation that is open.
    pub(crate) fn is_current(&self, generation: u64) -> bool {
        self.0.read().generation == generation
    }

    /// Gives the instance away: from here on there is none.
    pub(crate) fn take(&self) -> Option<Db> {
        self.0.write().db.take()
    }

    pub(crate) fn put(&self, db: Db) {
        let mut state = self.0.write();
        state.generation += 1;
        state.db = Some(db);
    }
}

impl Tree {
    /// The tree of the instance that is open now; it is made if it is missing.
    pub(crate) fn now(&self) -> sled::Result<sled::Tree> {
        self.instance.db()?.open_tree(&self.name)
    }

    /// The same, with its instance and the generation of that.
    pub(crate) fn current(&self) -> sled::Result<(u64, Db, sled::Tree)> {
        let (generation, db) = self.instance.current()?;
        let tree = db.open_tree(&self.name)?;
        Ok((generation, db, tree))
    }

    pub(crate) fn get(&self, key: impl AsRef<[u8]>) -> sled::Result<Option<IVec>> {
        let (_, db, tree) = self.current()?;
        tree.get(key).map_err(of_broken(&db))
    }

    pub(crate) fn contains_key(&self, key: impl AsRef<[u8]>) -> sled::Result<bool> {
        let (_, db, tree) = self.current()?;
        tree.contains_key(key).map_err(of_broken(&db))
    }

    pub(crate) fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Entries {
        self.entries(|tree| tree.scan_prefix(prefix))
    }

    pub(crate) fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Entries {
        self.entries(|tree| tree.range(range))
    }

    pub(crate) fn iter(&self) -> Entries {
        self.entries(|tree| tree.iter())
    }

    /// Not durable by itself.
    pub(crate) fn apply_batch(&self, batch: Batch) -> sled::Result<()> {
        self.now()?.apply_batch(batch)
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
                entries.next().map(|entry| entry.map_err(of_broken(db)))
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
                    .map(|entry| entry.map_err(of_broken(db)))
            }
            Self::Closed(error) => error.take().map(Err),
        }
    }
}
