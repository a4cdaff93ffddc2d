//! A collection written anew from its whole documents, and what is left of the others set aside.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use sled::Batch;

use super::finding::{Finding, FindingKind};
use super::scan::Scan;
use crate::catalog::{Catalog, Entry};
use crate::counters::Counters;
use crate::database::Database;
use crate::files::encode_key;
use crate::images::ImageFolder;
use crate::tree::Tree;
use crate::{DocumentId, DocumentKey, StorageError, layout, record};

/// Documents that one batch carries over.
const BATCH: usize = 64;

/// Puts a tree of the whole documents, with the same keys, in the place of the old one; gives
/// the file in which the damaged ones were set aside, where there are any.
pub(super) fn rebuild(
    database: &Arc<Database>,
    catalog: &Catalog,
    entry: &Entry,
    scan: &Scan,
) -> Result<Option<PathBuf>, StorageError> {
    let set_aside = set_aside(database, entry, scan)?;
    if scan.unreadable {
        // What refers to them may be what cannot be read.
        let kept = format!("damaged/images-{}", entry.number);
        ImageFolder::open(&database.dir().join("images"), entry.number)?
            .keep_unreferenced(&scan.images, &database.dir().join(kept))?;
    }
    let number = catalog.take_number(database)?;
    let (old, new) = (
        database.tree(layout::tree_name(entry.number))?,
        database.tree(layout::tree_name(number))?,
    );
    let whole: Vec<(&DocumentId, &DocumentKey)> = scan.whole.iter().collect();
    for some in whole.chunks(BATCH) {
        let mut batch = Batch::default();
        for (id, key) in some {
            carry_over(&old, entry.definition.dim, id, **key, &mut batch)?;
        }
        database.apply(&new, batch)?;
    }
    let before = scan.counters.unwrap_or_default();
    let counters = Counters {
        sequence: before.sequence + 1,
        next_key: before.next_key.max(scan.next_key),
        documents: scan.whole.len() as u64,
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
    // The next start drops the old tree and its images, which have no entry any more.
    Ok(set_aside)
}

/// What a rebuild did about it.
pub(super) fn remedy(finding: &Finding, set_aside: Option<&Path>) -> Option<String> {
    let done = match finding.kind {
        FindingKind::Leftover => "left out".to_owned(),
        FindingKind::Lost => match set_aside {
            Some(path) => format!("what is left of them was set aside in {}", path.display()),
            None => "nothing is left of them".to_owned(),
        },
        FindingKind::Damage if finding.what.starts_with("the image file") => return None,
        FindingKind::Damage => match set_aside {
            Some(path) if finding.what.starts_with("the document") => {
                format!("what is left of it was set aside in {}", path.display())
            }
            _ => "the collection was written anew from its whole documents".to_owned(),
        },
        FindingKind::Derived | FindingKind::Note => return None,
    };
    Some(done)
}

fn carry_over(
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

/// The same files under the new number: links, which take no room.
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

/// Writes all values that can still be read of the damaged documents, each under its key, to a
/// file of JSON lines. Values are there as they are stored, in hexadecimal.
fn set_aside(
    database: &Database,
    entry: &Entry,
    scan: &Scan,
) -> Result<Option<PathBuf>, StorageError> {
    if scan.damaged.is_empty() && scan.remains.is_empty() {
        return Ok(None);
    }
    let folder = database.dir().join("damaged");
    fs::create_dir_all(&folder).map_err(StorageError::io("create", &folder))?;
    let name = format!("{}-{}.ndjson", entry.definition.name, entry.number);
    let path = folder.join(name);
    let tree = database.tree(layout::tree_name(entry.number))?;
    let mut lines = String::new();
    let named = scan.damaged.iter().map(|(id, key)| (Some(id), key));
    for (id, key) in named.chain(scan.remains.iter().map(|key| (None, key))) {
        let mut values = Map::new();
        let prefixes = [layout::parts(*key), layout::vectors(*key)];
        for prefix in prefixes {
            // What cannot be read is what is damaged.
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
            "image_file": image.as_ref().map(|hash| aside_image(database, entry.number, hash)),
            "values": values,
        });
        lines += &line.to_string();
        lines.push('\n');
    }
    fs::write(&path, lines).map_err(StorageError::io("write", &path))?;
    Ok(Some(path))
}

/// Keeps the picture too; the place of the copy, or why there is none.
fn aside_image(database: &Database, number: u64, hash: &str) -> String {
    let shard = hash.get(..2).unwrap_or_default();
    let images = database.dir().join("images").join(number.to_string());
    let target = database.dir().join("damaged").join(hash);
    match fs::hard_link(images.join(shard).join(hash), &target) {
        Ok(()) => target.display().to_string(),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            target.display().to_string()
        }
        Err(error) => format!("not kept: {error}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
