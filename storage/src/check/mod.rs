//! Verifies a data folder while no server uses it: the checksum of every value, the hash of every
//! image, and references in both directions.
//!
//! A repair never drops data that can still be read. A corrupt collection is rewritten from its intact
//! documents under a new number and replaces the old one in one batch; the readable values of the other
//! documents are saved in a file in `damaged/`. Image files are not changed: a document with a corrupt
//! image stays, and reading the image is an error.

mod finding;
mod quarantine;
mod rebuild;
mod scan;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::{Catalog, Entry};
use crate::collection::CollectionStore;
use crate::database::Database;
use crate::{StorageError, StoreOptions};

pub use finding::{Finding, FindingKind, FindingSubject};

/// The only format that can be checked.
const FORMAT: u32 = clipdb_migrations::FORMAT_VERSION;

/// The result of a check.
#[derive(Debug, Default)]
pub struct CheckReport {
    /// The format of the folder, if it has one.
    pub format: Option<u32>,
    /// The number of intact documents.
    pub documents: u64,
    /// The number of referenced images.
    pub images: u64,
    /// Everything that is not as it should be.
    pub findings: Vec<Finding>,
    /// The files with the remaining values of corrupt documents.
    pub set_aside: Vec<PathBuf>,
}

/// Whether a check changes the data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckMode {
    /// Only report findings.
    Verify,
    /// Repair everything that can be repaired without losing readable data.
    Repair,
}

/// Verifies, and in [`CheckMode::Repair`] repairs, the documents and images of a data folder that no
/// server uses.
///
/// # Errors
/// The folder is locked, does not exist or cannot be read. Corrupt data is not an error but a finding.
pub fn check(
    dir: &Path,
    options: &StoreOptions,
    mode: CheckMode,
) -> Result<CheckReport, StorageError> {
    if !dir.join("sled").is_dir() {
        return Err(StorageError::NoFolder { dir: dir.into() });
    }
    let mut checked = CheckReport::default();
    let database = match Database::open_without_migrating(dir, options) {
        Ok(database) => database,
        Err(error @ StorageError::Damaged { .. }) => {
            let mut finding = Finding::from_error(&error);
            let opened = match mode {
                CheckMode::Repair => quarantine::open_without_page_table(dir, options)?,
                CheckMode::Verify => None,
            };
            finding.repaired = opened.as_ref().map(|_| {
                "recovered up to the corrupt part; the original log is in damaged/sled".into()
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
        let reason = "start the server once to migrate it, and check it again";
        checked
            .findings
            .push(Finding::new(FindingKind::Note, what, reason));
        return Ok(checked);
    }
    match check_content(database, mode, &mut checked) {
        Err(error @ StorageError::Damaged { .. }) => {
            checked.findings.push(Finding::from_error(&error));
            Ok(checked)
        }
        other => other.map(|()| checked),
    }
}

fn check_content(
    database: Database,
    mode: CheckMode,
    checked: &mut CheckReport,
) -> Result<(), StorageError> {
    let repair = mode == CheckMode::Repair;
    let database = Arc::new(database);
    let catalog = Catalog::open(&database)?;
    let entries = catalog.entries()?;
    let lost = lost_writes(&database, &entries);
    if repair && !lost.is_empty() {
        quarantine::save_unreferenced_images(&database, &entries)?;
    }
    for mut finding in lost {
        finding.repaired = repair.then(|| "accepted: the remaining data is served, and images without documents are in damaged/".to_owned());
        checked.findings.push(finding);
    }
    if repair {
        database.durable_sequences.clear()?;
    }
    for entry in entries {
        let scan = scan::scan(&database, &entry)?;
        checked.documents += scan.intact.len() as u64;
        checked.images += scan.images.len() as u64;
        let broken = scan.needs_rebuilding();
        let mut findings = scan.findings.clone();
        if repair && broken {
            let set_aside = rebuild::rebuild(&database, &catalog, &entry, &scan)?;
            for finding in &mut findings {
                finding.repaired = rebuild::repair_of(finding, set_aside.as_deref());
            }
            checked.set_aside.extend(set_aside);
        }
        checked.findings.extend(findings);
    }
    Ok(())
}

/// Collections that are missing or behind their last durable sequence.
fn lost_writes(database: &Arc<Database>, entries: &[Entry]) -> Vec<Finding> {
    let lost = |reason: String| Finding::new(FindingKind::Damage, "acknowledged writes", reason);
    let numbers: BTreeSet<u64> = entries.iter().map(|entry| entry.number).collect();
    let missing = database.durable_sequences.missing(&numbers).into_iter();
    let mut findings: Vec<Finding> = missing
        .map(|missing| lost(format!("{missing}; sled's log is corrupt or outdated")))
        .collect();
    for entry in entries {
        // Corrupt counters are found by the scan.
        if let Ok(collection) = CollectionStore::open(database.clone(), entry.clone())
            && let Some(loss) = database
                .durable_sequences
                .loss(entry.number, collection.sequence())
        {
            findings.push(lost(loss).of(&entry.definition.name));
        }
    }
    findings
}
