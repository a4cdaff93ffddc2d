//! One collection, verified.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::Entry;
use crate::counters::Counters;
use crate::database::Database;
use crate::files::decode_key;
use crate::images::ImageFolder;
use crate::tree::Tree;
use crate::{BlobHash, DocumentId, DocumentKey, StorageError, layout, record};

use super::finding::{Finding, FindingKind};

/// What a collection holds, and what of it is not whole.
pub(super) struct Scan {
    /// Documents with a whole record, whole vectors and their references.
    pub whole: BTreeMap<DocumentId, DocumentKey>,
    /// Documents that cannot be served.
    pub damaged: BTreeMap<DocumentId, DocumentKey>,
    /// Versions of which something is there and nobody can say which documents they were.
    pub remains: BTreeSet<DocumentKey>,
    /// Images that documents refer to.
    pub images: BTreeSet<BlobHash>,
    /// A page of the tree cannot be read: what else was on it is not known.
    pub unreadable: bool,
    /// What the counters say, where they can be read.
    pub counters: Option<Counters>,
    /// After every key that was ever seen.
    pub next_key: u64,
    pub findings: Vec<Finding>,
    /// Something of the tree is not as it should be.
    broken: bool,
}

impl Scan {
    pub(super) fn needs_rebuilding(&self) -> bool {
        self.broken
    }
}

struct Scanner<'a> {
    tree: Tree,
    entry: &'a Entry,
    images: ImageFolder,
    scan: Scan,
    /// Image of each whole document that has one.
    pictured: BTreeSet<(BlobHash, DocumentKey)>,
}

pub(super) fn scan(database: &Arc<Database>, entry: &Entry) -> Result<Scan, StorageError> {
    let mut scanner = Scanner {
        tree: database.tree(layout::tree_name(entry.number))?,
        entry,
        images: ImageFolder::open(&database.dir().join("images"), entry.number)?,
        scan: Scan {
            whole: BTreeMap::new(),
            damaged: BTreeMap::new(),
            remains: BTreeSet::new(),
            images: BTreeSet::new(),
            unreadable: false,
            counters: None,
            next_key: 0,
            findings: Vec::new(),
            broken: false,
        },
        pictured: BTreeSet::new(),
    };
    let mut live = scanner.ids();
    scanner.unlisted(&mut live);
    for (id, key) in live {
        scanner.document(id, key);
    }
    scanner.references();
    scanner.counters();
    scanner.image_files()?;
    Ok(scanner.scan)
}

impl Scanner<'_> {
    fn say(&mut self, kind: FindingKind, what: impl Into<String>, reason: impl Into<String>) {
        let finding = Finding::new(kind, what, reason).of(&self.entry.definition.name);
        self.scan.findings.push(finding);
    }

    fn broken(&mut self, what: impl Into<String>, reason: impl Into<String>) {
        self.scan.broken = true;
        self.say(FindingKind::Damage, what, reason);
    }

    fn error(&mut self, error: &StorageError) {
        match error {
            StorageError::Damaged { what, reason } => self.broken(what, reason),
            other => self.broken("the collection", other.to_string()),
        }
    }

    /// What `read` makes of all entries with this prefix that can be read: sled does not get past
    /// a page that it cannot read, so those behind it are read from the end.
    fn entries<T>(
        &mut self,
        prefix: &[u8],
        doing: &'static str,
        read: impl Fn(&[u8], &[u8]) -> T,
    ) -> Vec<T> {
        let (mut found, mut last) = (Vec::new(), None);
        let mut error = None;
        for entry in self.tree.scan_prefix(prefix) {
            match entry {
                Ok((key, value)) => {
                    found.push(read(&key, &value));
                    last = Some(key);
                }
                Err(failed) => error = Some(StorageError::sled(doing)(failed)),
            }
            if error.is_some() {
                break;
            }
        }
        if let Some(error) = error {
            self.scan.unreadable = true;
            self.error(&error);
            let behind = self.tree.scan_prefix(prefix).rev().map_while(Result::ok);
            let behind = behind.take_while(|(key, _)| Some(key) > last.as_ref());
            found.extend(behind.map(|(key, value)| read(&key, &value)));
        }
        found
    }

    /// The current key of each document whose entry can be read.
    fn ids(&mut self) -> BTreeMap<DocumentId, DocumentKey> {
        let entries = self.entries(layout::IDS, "list documents", |key, value| {
            let id = layout::id_of(key)?;
            Ok::<_, StorageError>((id, decode_key(key, value)?))
        });
        let mut live = BTreeMap::new();
        for entry in entries {
            match entry {
                Ok((id, key)) => {
                    live.insert(id, key);
                }
                Err(error) => self.error(&error),
            }
        }
        live
    }

    /// Adds the documents that have a record and no entry, and counts the versions of others.
    fn unlisted(&mut self, live: &mut BTreeMap<DocumentId, DocumentKey>) {
        let keys: BTreeSet<DocumentKey> = live.values().copied().collect();
        let mut versions = BTreeSet::new();
        for prefix in [layout::RECORDS, layout::VECTORS] {
            let found = self.entries(prefix, "list versions", |key, _| layout::version_of(key));
            versions.extend(found.into_iter().flatten());
        }
        let last = versions.iter().chain(&keys).max();
        self.scan.next_key = last.map_or(0, |key| key.get() + 1);
        let mut leftover = BTreeSet::new();
        for key in versions.difference(&keys) {
            match record::read(&self.tree, *key) {
                Ok(Some(document)) if !live.contains_key(&document.id) => {
                    self.broken(
                        format!("the entry of the document {}", document.id),
                        format!("its version {key} is there and the entry is not"),
                    );
                    live.insert(document.id, *key);
                }
                Ok(Some(_)) => {
                    leftover.insert(*key);
                }
                Ok(None) | Err(_) if self.scan.unreadable => {
                    self.scan.remains.insert(*key);
                }
                Ok(None) | Err(_) => {
                    leftover.insert(*key);
                }
            }
        }
        if !leftover.is_empty() {
            self.scan.broken = true;
            self.say(
                FindingKind::Leftover,
                format!("{} versions of documents", leftover.len()),
                "they are no document's current version",
            );
        }
    }

    fn document(&mut self, id: DocumentId, key: DocumentKey) {
        let dim = self.entry.definition.dim;
        let read = record::read(&self.tree, key).and_then(|document| {
            let document = document.ok_or_else(|| StorageError::Damaged {
                what: format!("the record of version {key}"),
                reason: "it is missing".into(),
            })?;
            if document.id != id {
                return Err(StorageError::Damaged {
                    what: format!("the record of version {key}"),
                    reason: format!("it is that of the document {}", document.id),
                });
            }
            if record::read_vectors(&self.tree, key, dim)?.is_empty() {
                return Err(StorageError::Damaged {
                    what: format!("the vectors of version {key}"),
                    reason: "they are missing".into(),
                });
            }
            Ok(document)
        });
        match read {
            Ok(document) => {
                if let Some(image) = document.image {
                    self.pictured.insert((image.hash, key));
                    self.reference(&id, key, &image.hash);
                }
                self.scan.whole.insert(id, key);
            }
            Err(error) => {
                let (what, reason) = match error {
                    StorageError::Damaged { what, reason } => (what, reason),
                    other => (format!("its version {key}"), other.to_string()),
                };
                self.broken(format!("the document {id}"), format!("{what}: {reason}"));
                self.scan.damaged.insert(id, key);
            }
        }
    }

    fn reference(&mut self, id: &DocumentId, key: DocumentKey, hash: &BlobHash) {
        if !matches!(
            self.tree.contains_key(layout::reference(hash, key)),
            Ok(true)
        ) {
            self.broken(
                format!("the reference of the document {id} to its image {hash}"),
                "it is missing",
            );
        }
    }

    /// References that no document has.
    fn references(&mut self) {
        let references = self.entries(layout::REFERENCES, "list image references", |key, _| {
            layout::reference_of(key)
        });
        let mut leftover = 0;
        for reference in references {
            match reference {
                Ok((hash, key)) if self.pictured.contains(&(hash, key)) => {}
                // What is left of a damaged document is kept with its image.
                Ok((_, key)) if self.scan.remains.contains(&key) => {}
                Ok((_, key)) if self.scan.damaged.values().any(|damaged| *damaged == key) => {}
                Ok(_) => leftover += 1,
                Err(error) => self.error(&error),
            }
        }
        if leftover > 0 {
            self.scan.broken = true;
            self.say(
                FindingKind::Leftover,
                format!("{leftover} references to images"),
                "no document has them",
            );
        }
    }

    fn counters(&mut self) {
        let documents = (self.scan.whole.len() + self.scan.damaged.len()) as u64;
        let counters = match Counters::read(&self.tree) {
            Ok(counters) => counters,
            Err(error) => {
                self.error(&error);
                if self.scan.unreadable {
                    self.lost("documents, nobody knows how many");
                }
                return;
            }
        };
        if counters.documents != documents || counters.next_key < self.scan.next_key {
            self.broken(
                "the collection's counters",
                format!(
                    "they tell of {} documents and the next version {}; there are {documents}, and {}",
                    counters.documents, counters.next_key, self.scan.next_key
                ),
            );
        }
        if counters.documents > documents {
            self.lost(format!("{} documents", counters.documents - documents));
        }
        self.scan.counters = Some(counters);
    }

    fn lost(&mut self, what: impl Into<String>) {
        self.scan.broken = true;
        let reason = "neither their records nor their ids can be read";
        self.say(FindingKind::Lost, what, reason);
    }

    fn image_files(&mut self) -> Result<(), StorageError> {
        let wanted: BTreeSet<BlobHash> = self.pictured.iter().map(|(hash, _)| *hash).collect();
        let owners: BTreeMap<DocumentKey, DocumentId> = self
            .scan
            .whole
            .iter()
            .map(|(id, key)| (*key, id.clone()))
            .collect();
        for hash in &wanted {
            let reason = match self.images.read(hash) {
                Ok(Some(_)) => continue,
                Ok(None) => "there is no such file".to_owned(),
                Err(StorageError::DamagedImage { reason, .. }) => reason,
                Err(error) => error.to_string(),
            };
            let of: Vec<String> = (self.pictured.iter())
                .filter(|(pictured, _)| pictured == hash)
                .filter_map(|(_, key)| Some(owners.get(key)?.to_string()))
                .collect();
            let what = format!(
                "the image file {} of the document {}",
                self.images.path(hash).display(),
                of.join(", ")
            );
            self.say(FindingKind::Damage, what, reason);
        }
        let leftover = self.images.unreferenced(&wanted)?;
        self.scan.images = wanted;
        if leftover > 0 && self.scan.damaged.is_empty() && !self.scan.unreadable {
            self.say(
                FindingKind::Leftover,
                format!("{leftover} image files"),
                "no document has them; the next start removes them",
            );
        }
        Ok(())
    }
}
