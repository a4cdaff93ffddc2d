//! A folder verified while no server uses it: every value by its checksum, every image by its
//! hash, and what refers to what, both ways.
//!
//! A repair never drops what can still be read. A collection that is not whole is written anew
//! from its whole documents, under a new number, and takes its old place in one batch; whatever
//! could be read of the others is set aside in a file under `damaged/`. Pictures are left as they
//! are: a document whose picture is damaged keeps its place and says so when the picture is read.

mod finding;
mod kept;
mod rebuild;
mod scan;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::{Catalog, Entry};
use crate::collection::CollectionStore;
use crate::database::Database;
use crate::{StorageError, StoreOptions};

pub use finding::{Finding, FindingKind};

/// The format that a folder has to have to be checked.
const FORMAT: u32 = clipdb_migrations::FORMAT_VERSION;

/// What a check came to.
#[derive(Debug, Default)]
pub struct Checked {
    /// The folder's format, where it has one.
    pub format: Option<u32>,
    pub documents: u64,
    pub images: u64,
    pub findings: Vec<Finding>,
    /// Where what is left of damaged documents was set aside.
    pub set_aside: Vec<PathBuf>,
}

/// Verifies the documents and pictures of the folder, which no server may be using. With `repair`
/// does about it what loses nothing.
///
/// # Errors
/// The folder cannot be looked at: it is locked, or not there, or not readable. What is damaged
/// in it is no error but a finding.
pub fn check(dir: &Path, options: &StoreOptions, repair: bool) -> Result<Checked, StorageError> {
    if !dir.join("sled").is_dir() {
        return Err(StorageError::NoFolder { dir: dir.into() });
    }
    let mut checked = Checked::default();
    let database = match Database::open_as_it_is(dir, options) {
        Ok(database) => database,
        Err(error @ StorageError::Damaged { .. }) => {
            let mut finding = Finding::from_error(&error);
            let opened = if repair {
                kept::open_without_table(dir, options)?
            } else {
                None
            };
            finding.repaired = opened.as_ref().map(|_| {
                "read up to the damaged place; the log as it was is in damaged/sled".into()
            });
            checked.findings.push(finding);
            match opened {
                Some(database) => database,
                None => return Ok(checked),
            }
        }
        Err(error) => return Err(error),
    };
    checked.format = database.format()?;
    if checked.format.is_some_and(|format| format < FORMAT) {
        let what = format!("the folder has an older format than {FORMAT}");
        let reason = "start the server on it once, which changes it, and check it then";
        checked
            .findings
            .push(Finding::new(FindingKind::Note, what, reason));
        return Ok(checked);
    }
    match check_content(database, repair, &mut checked) {
        Err(error @ StorageError::Damaged { .. }) => {
            checked.findings.push(Finding::from_error(&error));
            Ok(checked)
        }
        other => other.map(|()| checked),
    }
}

fn check_content(
    database: Database,
    repair: bool,
    checked: &mut Checked,
) -> Result<(), StorageError> {
    let database = Arc::new(database);
    let catalog = Catalog::open(&database)?;
    let entries = catalog.entries()?;
    let lost = witnessed_losses(&database, &entries);
    if repair && !lost.is_empty() {
        kept::keep_images(&database, &entries)?;
    }
    for mut finding in lost {
        finding.repaired = repair.then(|| "accepted: what is left is served, and pictures that lost their documents are in damaged/".to_owned());
        checked.findings.push(finding);
    }
    if repair {
        database.witness.forget()?;
    }
    for entry in entries {
        let scan = scan::scan(&database, &entry)?;
        checked.documents += scan.whole.len() as u64;
        checked.images += scan.images.len() as u64;
        let broken = scan.needs_rebuilding();
        let mut findings = scan.findings.clone();
        if repair && broken {
            let set_aside = rebuild::rebuild(&database, &catalog, &entry, &scan)?;
            for finding in &mut findings {
                finding.repaired = rebuild::remedy(finding, set_aside.as_deref());
            }
            checked.set_aside.extend(set_aside);
        }
        checked.findings.extend(findings);
    }
    Ok(())
}

/// Collections that are gone, or behind what was witnessed of them.
fn witnessed_losses(database: &Arc<Database>, entries: &[Entry]) -> Vec<Finding> {
    let lost = |reason: String| Finding::new(FindingKind::Damage, "acknowledged writes", reason);
    let numbers: BTreeSet<u64> = entries.iter().map(|entry| entry.number).collect();
    let gone = database.witness.gone(&numbers).into_iter().map(|gone| {
        lost(format!(
            "{gone}; sled's log is damaged or from an earlier time"
        ))
    });
    let mut findings: Vec<Finding> = gone.collect();
    for entry in entries {
        // Damaged counters are found by the scan.
        if let Ok(collection) = CollectionStore::open(database.clone(), entry.clone())
            && let Some(loss) = database.witness.loss(entry.number, collection.sequence())
        {
            findings.push(lost(loss).of(&entry.definition.name));
        }
    }
    findings
}
