//! What has to be true after a kill: of the folder at rest, and of the server that serves it.

pub(super) mod at_rest;
mod found;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use serde_json::Value;

use super::Report;
use super::document::Document;
use super::journal::Journal;
use super::shelves::{GIVEN, RESTORED, SHARED, Sort};
use super::vectors::KINDS;
use crate::client::Collection;
use crate::server::Server;

/// The server that was started on it: what it holds is what the journals say, and the journals
/// learn which of the writes under way were done.
pub(super) fn serving(
    server: &Server,
    journals: &mut [Journal],
    random: &mut StdRng,
    report: &mut Report,
) -> Result<(), Vec<String>> {
    let mut wrong = Vec::new();
    let listed = server.client().get("/collections").expect(200).json();
    let listed: BTreeSet<String> = (listed["collections"].as_array().into_iter().flatten())
        .filter_map(|summary| summary["name"].as_str().map(str::to_owned))
        .collect();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for journal in journals.iter_mut() {
        for (name, shelf) in &mut journal.shelves {
            known.insert(name.clone());
            let there = listed.contains(name);
            match shelf
                .there
                .states()
                .iter()
                .rposition(|state| *state == there)
            {
                Some(at) => shelf.there.found(at),
                None => wrong.push(format!(
                    "collection {name}: there is {there}, which is not as acknowledged"
                )),
            }
            if !there {
                shelf.documents.clear();
            }
        }
    }
    for name in listed.difference(&known) {
        if name.starts_with(RESTORED) {
            snapshots::check_restored(&server.client().existing(name), &mut wrong);
            server
                .client()
                .delete(&format!("/collections/{name}"))
                .expect(204);
            continue;
        }
        wrong.push(format!(
            "collection {name} was never made, or dropped and is back"
        ));
    }
    for name in listed.intersection(&known) {
        let collection = server.client().existing(name);
        check_collection(&collection, journals, random, report, &mut wrong);
    }
    for name in [SHARED, GIVEN] {
        snapshots::check(server, name, &mut wrong);
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn check_collection(
    collection: &Collection<'_>,
    journals: &mut [Journal],
    random: &mut StdRng,
    report: &mut Report,
    wrong: &mut Vec<String>,
) {
    let mut told = Vec::new();
    let there = as_acknowledged(collection, journals, report, &mut |what| told.push(what));
    // Numbers that are wrong because of a document say nothing more.
    if told.is_empty() {
        counted(collection, &there, report, &mut |what| told.push(what));
    }
    let mut say = |what| told.push(what);
    agreed(collection, &mut say);
    found::by_words(collection, &there, &mut say);
    match Sort::of(collection.name()) {
        Sort::Embedded => found::by_meaning(collection, &there, random, &mut say),
        Sort::Given => found::by_vectors(collection, &there, random, report, &mut say),
    }
    let name = collection.name();
    wrong.extend(told.into_iter().map(|what| format!("{name}: {what}")));
}

/// Compares what is listed with what the journals allow; gives what is there.
fn as_acknowledged(
    collection: &Collection<'_>,
    journals: &mut [Journal],
    report: &mut Report,
    say: &mut impl FnMut(String),
) -> BTreeMap<String, Document> {
    let listed = collection.list(500);
    let mut stored: BTreeMap<&str, &Value> = BTreeMap::new();
    for document in &listed {
        if stored
            .insert(document["id"].as_str().unwrap_or_default(), document)
            .is_some()
        {
            say(format!("{} is listed twice", document["id"]));
        }
    }
    let mut there: BTreeMap<String, Document> = BTreeMap::new();
    for shelf in journals
        .iter_mut()
        .filter_map(|journal| journal.shelves.get_mut(collection.name()))
    {
        for (id, possible) in &mut shelf.documents {
            report.compared += 1;
            let found = stored.remove(id.as_str());
            // The newest first: a write repeated with the same content counts as done.
            let mut differences = Vec::new();
            let matching = (0..possible.states().len()).rev().find(|at| {
                let difference = match (&possible.states()[*at], found) {
                    (None, None) => None,
                    (None, Some(_)) => Some("it is there and should not be".to_owned()),
                    (Some(_), None) => Some("it is not there".to_owned()),
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
                    possible.found(at);
                    if let Some(Some(document)) = possible.known() {
                        there.insert(id.clone(), document.clone());
                    }
                }
                None => say(format!(
                    "{id}: {}",
                    differences.join("; and not as it may be now: ")
                )),
            }
        }
    }
    for id in stored.keys() {
        say(format!(
            "{id} is there and was never written, or was deleted"
        ));
    }
    there
}

fn counted(
    collection: &Collection<'_>,
    there: &BTreeMap<String, Document>,
    report: &mut Report,
    say: &mut impl FnMut(String),
) {
    let summary = collection.summary();
    let [images, texts] = KINDS.map(|kind| there.values().filter(|it| it.has(kind)).count());
    for (field, count) in [
        ("documents", there.len()),
        ("texts", texts),
        ("images", images),
    ] {
        if summary[field] != count {
            say(format!("'{field}' is {}, not {count}", summary[field]));
        }
    }
    for segment in (KINDS.iter())
        .flat_map(|kind| summary["index"][kind]["segments"].as_array())
        .flatten()
        .filter(|segment| segment["stored"] == true)
    {
        match segment["kind"].as_str() {
            Some("flat") => report.scanned_segments += 1,
            _ => report.graphs += 1,
        }
    }
}

fn agreed(collection: &Collection<'_>, say: &mut impl FnMut(String)) {
    let answer = collection.check();
    if answer["agrees"] != true {
        say(format!("the indexes and the documents disagree: {answer}"));
    }
}
