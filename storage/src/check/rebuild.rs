//! Rewrites a collection from its intact documents, and saves the remaining values of the others.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use sled::Batch;

use super::finding::{Finding, FindingKind, FindingSubject};
use super::scan::Scan;
use crate::catalog::{Catalog, Entry};
use crate::counters::Counters;
use crate::database::Database;
use crate::files::encode_key;
use crate::images::ImageFolder;
use crate::tree::Tree;
use crate::{DocumentId, DocumentKey, StorageError, layout, record};

/// Documents per batch.
const BATCH: usize = 64;

/// Replaces the tree by one of the intact documents with the same keys. Returns the file with the values
/// of corrupt documents, if there are any.
pub(super) fn rebuild(
    database: &Arc<Database>,
    catalog: &Catalog,
    entry: &Entry,
    scan: &Scan,
) -> Result<Option<PathBuf>, StorageError> {
    let set_aside = save_remains(database, entry, scan)?;
    if scan.unreadable {
        // The references to them may be unreadable.
        let kept = format!("damaged/images-{}", entry.number);
        ImageFolder::open(&database.dir().join("images"), entry.number)?
            .link_unreferenced(&scan.images, &database.dir().join(kept))?;
    }
    let number = catalog.take_number(database)?;
    let (old, new) = (
        database.tree(layout::tree_name(entry.number))?,
        database.tree(layout::tree_name(number))?,
    );
    let intact: Vec<(&DocumentId, &DocumentKey)> = scan.intact.iter().collect();
    for documents in intact.chunks(BATCH) {
        let mut batch = Batch::default();
        for (id, key) in documents {
            copy_document(&old, entry.definition.dim, id, **key, &mut batch)?;
        }
        database.apply(&new, batch)?;
    }
    let before = scan.counters.unwrap_or_default();
    let counters = Counters {
        sequence: before.sequence + 1,
        next_key: before.next_key.max(scan.next_key),
        documents: scan.intact.len() as u64,
    };
    let mut batch = Batch::default();
    counters.write(&mut batch)?;
    database.apply(&new, batch)?;
    link_images(database.dir(), entry.number, number)?;
    database.sync_filesystem()?;
    catalog.put(
        database,
        &Entry {
            number,
            definition: entry.definition.clone(),
        },
    )?;
    // The old tree and its images have no entry any more and are dropped at the next startup.
    Ok(set_aside)
}

/// How the rebuild has repaired the finding.
pub(super) fn repair_of(finding: &Finding, set_aside: Option<&Path>) -> Option<String> {
    let done = match finding.kind {
        FindingKind::Leftover => "left out".to_owned(),
        FindingKind::Lost => match set_aside {
            Some(path) => format!("their remaining values were saved in {}", path.display()),
            None => "nothing of them is left".to_owned(),
        },
        FindingKind::Damage if finding.subject == FindingSubject::ImageFile => return None,
        FindingKind::Damage => match set_aside {
            Some(path) if finding.subject == FindingSubject::Document => {
                format!("its remaining values were saved in {}", path.display())
            }
            _ => "rewrote the collection from its intact documents".to_owned(),
        },
        FindingKind::Derived | FindingKind::Note => return None,
    };
    Some(done)
}

fn copy_document(
    old: &Tree,
    dim: usize,
    id: &DocumentId,
    key: DocumentKey,
    batch: &mut Batch,
) -> Result<(), StorageError> {
    let Some(document) = record::read(old, key)? else {
        return Ok(());
    };
    let id_key = layout::id(id);
    let current = encode_key(&id_key, key);
    batch.insert(id_key, current);
    for (key, value) in record::encode(&document)? {
        batch.insert(key, value);
    }
    let vectors = record::read_vectors(old, key, dim)?;
    for (key, value) in record::encode_vectors(key, &vectors) {
        batch.insert(key, value);
    }
    if let Some(image) = &document.image {
        batch.insert(layout::reference(&image.hash, key), &[]);
    }
    Ok(())
}

/// Links the image files into the folder of the new number, which takes no space.
fn link_images(dir: &Path, old: u64, new: u64) -> Result<(), StorageError> {
    let folder = |number: u64| dir.join("images").join(number.to_string());
    let (old, new) = (folder(old), folder(new));
    let entries = |path: &Path| fs::read_dir(path).map_err(StorageError::io("list", path));
    for shard in entries(&old)? {
        let shard = shard.map_err(StorageError::io("list", &old))?;
        let target = new.join(shard.file_name());
        fs::create_dir_all(&target).map_err(StorageError::io("create", &target))?;
        for file in entries(&shard.path())? {
            let file = file.map_err(StorageError::io("list", shard.path()))?;
            let target = target.join(file.file_name());
            fs::hard_link(file.path(), &target).map_err(StorageError::io("link", target))?;
        }
    }
    Ok(())
}

/// Writes all readable values of the corrupt documents by key to a file of JSON lines. The values are in
/// their stored form, in hexadecimal.
fn save_remains(
    database: &Database,
    entry: &Entry,
    scan: &Scan,
) -> Result<Option<PathBuf>, StorageError> {
    if scan.corrupt.is_empty() && scan.unidentified.is_empty() {
        return Ok(None);
    }
    let folder = database.dir().join("damaged");
    fs::create_dir_all(&folder).map_err(StorageError::io("create", &folder))?;
    let name = format!("{}-{}.ndjson", entry.definition.name, entry.number);
    let path = folder.join(name);
    let tree = database.tree(layout::tree_name(entry.number))?;
    let mut lines = String::new();
    let identified = scan.corrupt.iter().map(|(id, key)| (Some(id), key));
    for (id, key) in identified.chain(scan.unidentified.iter().map(|key| (None, key))) {
        let mut values = Map::new();
        let prefixes = [layout::parts(*key), layout::vectors(*key)];
        for prefix in prefixes {
            // Unreadable values are the corrupt ones.
            for (key, value) in tree.scan_prefix(prefix).map_while(Result::ok) {
                values.insert(hex(&key), hex(&value).into());
            }
        }
        let image = tree
            .scan_prefix(layout::REFERENCES)
            .keys()
            .find_map(|found| {
                let (hash, of) = layout::reference_of(&found.ok()?).ok()?;
                (of == *key).then(|| hash.to_string())
            });
        let line: Value = json!({
            "id": id, "version": key.get(), "image": image,
            "image_file": image.as_ref().map(|hash| save_image(database, entry.number, hash)),
            "values": values,
        });
        lines += &line.to_string();
        lines.push('\n');
    }
    fs::write(&path, lines).map_err(StorageError::io("write", &path))?;
    Ok(Some(path))
}

/// Links the image to `damaged/`, and returns the path of the link, or why there is none.
fn save_image(database: &Database, number: u64, hash: &str) -> String {
    let shard = hash.get(..2).unwrap_or_default();
    let images = database.dir().join("images").join(number.to_string());
    let target = database.dir().join("damaged").join(hash);
    match fs::hard_link(images.join(shard).join(hash), &target) {
        Ok(()) => target.display().to_string(),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            target.display().to_string()
        }
        Err(error) => format!("not saved: {error}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
