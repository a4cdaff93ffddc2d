//! Verifies one collection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::Entry;
use crate::counters::Counters;
use crate::database::Database;
use crate::files::decode_key;
use crate::images::ImageFolder;
use crate::tree::Tree;
use crate::{BlobHash, DocumentId, DocumentKey, StorageError, layout, record};

use super::finding::{Finding, FindingKind, FindingSubject};

/// The content of a collection, and its findings.
pub(super) struct Scan {
    /// Documents with an intact record, intact vectors and their references.
    pub intact: BTreeMap<DocumentId, DocumentKey>,
    /// Documents that cannot be served.
    pub corrupt: BTreeMap<DocumentId, DocumentKey>,
    /// Versions with readable values whose document is unknown.
    pub unidentified: BTreeSet<DocumentKey>,
    /// Referenced images.
    pub images: BTreeSet<BlobHash>,
    /// Whether a page of the tree is corrupt, so that its content is unknown.
    pub unreadable: bool,
    /// The counters, if they can be read.
    pub counters: Option<Counters>,
    /// Greater than every key that was found.
    pub next_key: u64,
    pub findings: Vec<Finding>,
    /// Whether the tree is not as it should be.
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
    /// The image of each intact document that has one.
    image_references: BTreeSet<(BlobHash, DocumentKey)>,
}

pub(super) fn scan(database: &Arc<Database>, entry: &Entry) -> Result<Scan, StorageError> {
    let mut scanner = Scanner {
        tree: database.tree(layout::tree_name(entry.number))?,
        entry,
        images: ImageFolder::open(&database.dir().join("images"), entry.number)?,
        scan: Scan {
            intact: BTreeMap::new(),
            corrupt: BTreeMap::new(),
            unidentified: BTreeSet::new(),
            images: BTreeSet::new(),
            unreadable: false,
            counters: None,
            next_key: 0,
            findings: Vec::new(),
            broken: false,
        },
        image_references: BTreeSet::new(),
    };
    let mut live = scanner.ids();
    scanner.versions_without_entry(&mut live);
    for (id, key) in live {
        scanner.document(id, key);
    }
    scanner.references();
    scanner.counters();
    scanner.image_files()?;
    Ok(scanner.scan)
}

impl Scanner<'_> {
    fn report(&mut self, kind: FindingKind, what: impl Into<String>, reason: impl Into<String>) {
        self.add(Finding::new(kind, what, reason));
    }

    fn add(&mut self, finding: Finding) {
        let finding = finding.of(&self.entry.definition.name);
        self.scan.findings.push(finding);
    }

    fn broken(&mut self, what: impl Into<String>, reason: impl Into<String>) {
        self.scan.broken = true;
        self.report(FindingKind::Damage, what, reason);
    }

    fn error(&mut self, error: &StorageError) {
        match error {
            StorageError::Damaged { what, reason } => self.broken(what, reason),
            other => self.broken("the collection", other.to_string()),
        }
    }

    /// Applies `read` to all readable entries with this prefix. sled cannot iterate past a corrupt
    /// page, so the entries after it are read from the end.
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
            let after = self.tree.scan_prefix(prefix).rev().map_while(Result::ok);
            let after = after.take_while(|(key, _)| Some(key) > last.as_ref());
            found.extend(after.map(|(key, value)| read(&key, &value)));
        }
        found
    }

    /// The current key of each document with a readable entry.
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

    /// Adds the documents with a record and without an entry, and counts versions without a document.
    fn versions_without_entry(&mut self, live: &mut BTreeMap<DocumentId, DocumentKey>) {
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
                        format!("its version {key} exists and the entry does not"),
                    );
                    live.insert(document.id, *key);
                }
                Ok(Some(_)) => {
                    leftover.insert(*key);
                }
                Ok(None) | Err(_) if self.scan.unreadable => {
                    self.scan.unidentified.insert(*key);
                }
                Ok(None) | Err(_) => {
                    leftover.insert(*key);
                }
            }
        }
        if !leftover.is_empty() {
            self.scan.broken = true;
            self.report(
                FindingKind::Leftover,
                format!("{} versions of documents", leftover.len()),
                "they are not the current version of a document",
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
                    self.image_references.insert((image.hash, key));
                    self.reference(&id, key, &image.hash);
                }
                self.scan.intact.insert(id, key);
            }
            Err(error) => {
                let (what, reason) = match error {
                    StorageError::Damaged { what, reason } => (what, reason),
                    other => (format!("its version {key}"), other.to_string()),
                };
                self.scan.broken = true;
                let finding = Finding::new(
                    FindingKind::Damage,
                    format!("the document {id}"),
                    format!("{what}: {reason}"),
                );
                self.add(finding.about(FindingSubject::Document));
                self.scan.corrupt.insert(id, key);
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

    /// Counts references without a document.
    fn references(&mut self) {
        let references = self.entries(layout::REFERENCES, "list image references", |key, _| {
            layout::reference_of(key)
        });
        let mut leftover = 0;
        for reference in references {
            match reference {
                Ok((hash, key)) if self.image_references.contains(&(hash, key)) => {}
                // The remains of a corrupt document are saved with its image.
                Ok((_, key)) if self.scan.unidentified.contains(&key) => {}
                Ok((_, key)) if self.scan.corrupt.values().any(|corrupt| *corrupt == key) => {}
                Ok(_) => leftover += 1,
                Err(error) => self.error(&error),
            }
        }
        if leftover > 0 {
            self.scan.broken = true;
            self.report(
                FindingKind::Leftover,
                format!("{leftover} references to images"),
                "they belong to no document",
            );
        }
    }

    fn counters(&mut self) {
        let documents = (self.scan.intact.len() + self.scan.corrupt.len()) as u64;
        let counters = match Counters::read(&self.tree) {
            Ok(counters) => counters,
            Err(error) => {
                self.error(&error);
                if self.scan.unreadable {
                    self.lost("an unknown number of documents");
                }
                return;
            }
        };
        if counters.documents != documents || counters.next_key < self.scan.next_key {
            self.broken(
                "the collection's counters",
                format!(
                    "they count {} documents and the next version {}; there are {documents} documents, and the next version is {}",
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
        self.report(FindingKind::Lost, what, reason);
    }

    fn image_files(&mut self) -> Result<(), StorageError> {
        let referenced: BTreeSet<BlobHash> = self
            .image_references
            .iter()
            .map(|(hash, _)| *hash)
            .collect();
        let owners: BTreeMap<DocumentKey, DocumentId> = self
            .scan
            .intact
            .iter()
            .map(|(id, key)| (*key, id.clone()))
            .collect();
        for hash in &referenced {
            let reason = match self.images.read(hash) {
                Ok(Some(_)) => continue,
                Ok(None) => "there is no such file".to_owned(),
                Err(StorageError::DamagedImage { reason, .. }) => reason,
                Err(error) => error.to_string(),
            };
            let documents: Vec<String> = (self.image_references.iter())
                .filter(|(other, _)| other == hash)
                .filter_map(|(_, key)| Some(owners.get(key)?.to_string()))
                .collect();
            let what = format!(
                "the image file {} of the document {}",
                self.images.path(hash).display(),
                documents.join(", ")
            );
            let finding = Finding::new(FindingKind::Damage, what, reason);
            self.add(finding.about(FindingSubject::ImageFile));
        }
        let leftover = self.images.unreferenced(&referenced)?;
        self.scan.images = referenced;
        if leftover > 0 && self.scan.corrupt.is_empty() && !self.scan.unreadable {
            self.report(
                FindingKind::Leftover,
                format!("{leftover} image files"),
                "they belong to no document and are removed at the next startup",
            );
        }
        Ok(())
    }
}
