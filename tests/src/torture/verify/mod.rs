//! The verification after a kill: of the folder at rest, and of the server that serves it.

pub(super) mod at_rest;
mod searches;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use serde_json::Value;

use super::Report;
use super::collections::{CollectionKind, GIVEN, RESTORED, SHARED};
use super::document::Document;
use super::journal::Journal;
use super::vectors::KINDS;
use crate::client::Collection;
use crate::server::Server;

/// Compares the restarted server with the journals, and records in the journals which of the writes
/// in flight were done.
pub(super) fn serving(
    server: &Server,
    journals: &mut [Journal],
    random: &mut StdRng,
    report: &mut Report,
) -> Result<(), Vec<String>> {
    let mut faults = Vec::new();
    let listed = server.client().get("/collections").expect(200).json();
    let listed: BTreeSet<String> = (listed["collections"].as_array().into_iter().flatten())
        .filter_map(|summary| summary["name"].as_str().map(str::to_owned))
        .collect();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for journal in journals.iter_mut() {
        for (name, journal) in &mut journal.collections {
            known.insert(name.clone());
            let exists = listed.contains(name);
            match journal
                .exists
                .states()
                .iter()
                .rposition(|state| *state == exists)
            {
                Some(at) => journal.exists.resolve(at),
                None => faults.push(format!(
                    "collection {name}: exists is {exists}, which contradicts the acknowledged writes"
                )),
            }
            if !exists {
                journal.documents.clear();
            }
        }
    }
    for name in listed.difference(&known) {
        if name.starts_with(RESTORED) {
            snapshots::check_restored(&server.client().existing(name), &mut faults);
            server
                .client()
                .delete(&format!("/collections/{name}"))
                .expect(204);
            continue;
        }
        faults.push(format!(
            "collection {name} was never created, or reappeared after a drop"
        ));
    }
    for name in listed.intersection(&known) {
        let collection = server.client().existing(name);
        check_collection(&collection, journals, random, report, &mut faults);
    }
    for name in [SHARED, GIVEN] {
        snapshots::check(server, name, &mut faults);
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

fn check_collection(
    collection: &Collection<'_>,
    journals: &mut [Journal],
    random: &mut StdRng,
    report: &mut Report,
    faults: &mut Vec<String>,
) {
    let mut found = Vec::new();
    let there = compare_documents(collection, journals, report, &mut |what| found.push(what));
    // Wrong counts that follow from a wrong document add no information.
    if found.is_empty() {
        compare_counts(collection, &there, report, &mut |what| found.push(what));
    }
    let mut fault = |what| found.push(what);
    check_agreement(collection, &mut fault);
    searches::by_keywords(collection, &there, &mut fault);
    match CollectionKind::of(collection.name()) {
        CollectionKind::Embedded => searches::by_text(collection, &there, random, &mut fault),
        CollectionKind::Given => {
            searches::by_vectors(collection, &there, random, report, &mut fault);
        }
    }
    let name = collection.name();
    faults.extend(found.into_iter().map(|what| format!("{name}: {what}")));
}

/// Compares the listed documents with the journals; returns the documents that exist.
fn compare_documents(
    collection: &Collection<'_>,
    journals: &mut [Journal],
    report: &mut Report,
    fault: &mut impl FnMut(String),
) -> BTreeMap<String, Document> {
    let listed = collection.list(500);
    let mut stored: BTreeMap<&str, &Value> = BTreeMap::new();
    for document in &listed {
        if stored
            .insert(document["id"].as_str().unwrap_or_default(), document)
            .is_some()
        {
            fault(format!("{} is listed twice", document["id"]));
        }
    }
    let mut there: BTreeMap<String, Document> = BTreeMap::new();
    for journal in journals
        .iter_mut()
        .filter_map(|journal| journal.collections.get_mut(collection.name()))
    {
        for (id, possible) in &mut journal.documents {
            report.compared += 1;
            let found = stored.remove(id.as_str());
            // Newest first: a write repeated with the same content counts as done.
            let mut differences = Vec::new();
            let matching = (0..possible.states().len()).rev().find(|at| {
                let difference = match (&possible.states()[*at], found) {
                    (None, None) => None,
                    (None, Some(_)) => Some("it exists and should not".to_owned()),
                    (Some(_), None) => Some("it does not exist".to_owned()),
                    (Some(written), Some(found)) => written.differs(found, collection),
                };
                let none = difference.is_none();
                differences.extend(difference);
                none
            });
            match matching {
                Some(at) => {
                    if possible.states().len() > 1 {
                        let done = at + 1 == possible.states().len();
                        *(if done {
                            &mut report.done
                        } else {
                            &mut report.undone
                        }) += 1;
                    }
                    possible.resolve(at);
                    if let Some(Some(document)) = possible.known() {
                        there.insert(id.clone(), document.clone());
                    }
                }
                None => fault(format!(
                    "{id}: {}",
                    differences.join("; nor does it match the other possible state: ")
                )),
            }
        }
    }
    for id in stored.keys() {
        fault(format!("{id} exists and was never written, or was deleted"));
    }
    there
}

fn compare_counts(
    collection: &Collection<'_>,
    there: &BTreeMap<String, Document>,
    report: &mut Report,
    fault: &mut impl FnMut(String),
) {
    let summary = collection.summary();
    let [images, texts] = KINDS.map(|kind| there.values().filter(|it| it.has(kind)).count());
    for (field, count) in [
        ("documents", there.len()),
        ("texts", texts),
        ("images", images),
    ] {
        if summary[field] != count {
            fault(format!("'{field}' is {}, not {count}", summary[field]));
        }
    }
    for segment in (KINDS.iter())
        .filter_map(|kind| summary["index"][kind]["segments"].as_array())
        .flatten()
        .filter(|segment| segment["stored"] == true)
    {
        match segment["kind"].as_str() {
            Some("flat") => report.scanned_segments += 1,
            _ => report.graphs += 1,
        }
    }
}

fn check_agreement(collection: &Collection<'_>, fault: &mut impl FnMut(String)) {
    let answer = collection.check();
    if answer["agrees"] != true {
        fault(format!("the indexes and the documents disagree: {answer}"));
    }
}
