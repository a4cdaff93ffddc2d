//! A data folder verified while no server uses it: documents and pictures by `clipdb-storage`,
//! then each collection's indexes against its documents.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clipdb_index::{CollectionIndex, Reason, SavedIndex};
use clipdb_storage::{
    CheckMode, CheckReport, Finding, FindingKind, FindingSubject, Store, StoreOptions,
};

use crate::collection::closed::Closed;
use crate::collection::collection::Collection;
use crate::collection::definition::index_configuration;
use crate::collection::rows;
use crate::collection::shared::Shared;
use crate::collection::slot::index_folder;
use crate::error::EngineError;
use crate::metrics::statistics::Statistics;
use crate::settings::EngineSettings;

/// Verifies the folder `settings.data`. [`CheckMode::Repair`] also repairs what can be repaired
/// without loss, and brings every index up to date.
///
/// # Errors
/// The folder cannot be looked at. What is damaged in it is no error but a finding.
pub fn check_folder(
    settings: &EngineSettings,
    mode: CheckMode,
) -> Result<CheckReport, EngineError> {
    let options = StoreOptions {
        cache_bytes: settings.cache_bytes,
        reserve_bytes: 0,
    };
    let mut checked = clipdb_storage::check(&settings.data, &options, mode)?;
    let servable = |finding: &Finding| {
        finding.repaired.is_some()
            || matches!(finding.kind, FindingKind::Leftover | FindingKind::Derived)
            || finding.subject == FindingSubject::ImageFile
    };
    // Indexes of documents that are not whole say nothing.
    if checked.findings.iter().all(servable) {
        let store = Store::open(&settings.data, &options)?;
        let statistics =
            Statistics::new().map_err(|error| EngineError::Metrics(error.to_string()))?;
        let shared = (mode == CheckMode::Repair)
            .then(|| Shared::start(settings, &Arc::new(statistics)))
            .transpose()?;
        for definition in store.collections() {
            let collection = store.collection(&definition.name)?;
            let folder = index_folder(&definition.name, collection.number());
            let folder = settings.data.join("index").join(folder);
            let mut findings = check_index(&collection, &folder)?;
            if let Some((shared, ..)) = &shared {
                bring_up_to_date(collection, folder, shared)?;
                for finding in &mut findings {
                    finding.repaired = Some("made anew from the documents".to_owned());
                }
            }
            checked.findings.append(&mut findings);
        }
    }
    Ok(checked)
}

fn bring_up_to_date(
    store: clipdb_storage::CollectionStore,
    folder: PathBuf,
    shared: &Arc<Shared>,
) -> Result<(), EngineError> {
    let collection = Collection::new(store, folder, shared)?;
    collection.open()?;
    let done = collection.wait_until_searchable(None);
    collection.close(Closed::Stopping);
    done
}

fn check_index(
    store: &clipdb_storage::CollectionStore,
    folder: &Path,
) -> Result<Vec<Finding>, EngineError> {
    let live: BTreeSet<_> = store.live_keys()?.into_iter().map(rows::row_id).collect();
    let definition = store.definition();
    let found = CollectionIndex::inspect(folder, &index_configuration(definition)?);
    let judge = |what: &str, held: Result<SavedIndex, Reason>| {
        let (kind, reason) = match held {
            Err(Reason::Missing) => (FindingKind::Note, "there is none yet".to_owned()),
            Err(Reason::Format(format)) => (FindingKind::Note, format),
            Err(Reason::Corrupt(damage)) => (FindingKind::Derived, damage),
            Ok(SavedIndex { sequence, .. }) if sequence != Some(store.sequence()) => {
                let behind = "it is behind the documents, which the next start mends".to_owned();
                (FindingKind::Note, behind)
            }
            Ok(held) if held.rows.iter().copied().ne(live.iter().copied()) => {
                let (is, due) = (held.rows.len(), live.len());
                let reason =
                    format!("it holds other versions than the documents ({is}, not {due})");
                (FindingKind::Derived, reason)
            }
            Ok(_) => return None,
        };
        let what = format!("the {what} index in {}", folder.display());
        Some(Finding::new(kind, what, reason).of(&definition.name))
    };
    Ok([
        judge("vector", found.vectors),
        judge("keyword", found.words),
    ]
    .into_iter()
    .flatten()
    .collect())
}
