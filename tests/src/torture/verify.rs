//! What has to be true after a kill: of the folder at rest, and of the server that serves it.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::Report;
use super::document::Document;
use super::journal::{Journal, RESTORED, SHARED};
use crate::client::Collection;
use crate::server::{Server, Stopped};

/// Marks asked for in one keyword search.
const MARKS: usize = 100;
/// Documents of each collection that are searched by their own text.
const SEARCHED: usize = 4;
/// Every so many folders are checked at rest.
const CHECKED: usize = 3;
/// A text searched by itself is this close.
const ITSELF: f64 = 0.999;

/// The folder as the kill left it: `clipdb check` finds no damage in it.
pub(super) fn at_rest(stopped: &Stopped, kill: usize) -> Result<(), Vec<String>> {
    if !kill.is_multiple_of(CHECKED) {
        return Ok(());
    }
    let checked = stopped.check(&[]);
    match checked.code {
        Some(0) => Ok(()),
        _ => Err(vec![format!("{}{}", checked.stdout, checked.stderr)]),
    }
}

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
            check_restored(&server.client().existing(name), &mut wrong);
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
    check_snapshots(server, &mut wrong);
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// A restored collection, if it is there, is there whole.
fn check_restored(collection: &Collection<'_>, wrong: &mut Vec<String>) {
    let (listed, summary) = (collection.list(500), collection.summary());
    if summary["documents"] != listed.len() {
        wrong.push(format!(
            "{}: {} documents are listed: {summary}",
            collection.name(),
            listed.len()
        ));
    }
    let checked = collection.check();
    if checked["agrees"] != true {
        wrong.push(format!("{}: {checked}", collection.name()));
    }
}

/// Every snapshot that is there is whole: the newest is restored, all are removed.
fn check_snapshots(server: &Server, wrong: &mut Vec<String>) {
    let client = server.client();
    let shelf = format!("/collections/{SHARED}/snapshots");
    let answer = client.get(&shelf);
    if answer.status == 404 {
        return;
    }
    let listed = answer.expect(200).json();
    let snapshots = listed["snapshots"].as_array().cloned().unwrap_or_default();
    if let Some(newest) = snapshots.last() {
        let body = json!({ "snapshot": newest["id"], "collection": SHARED });
        let path = format!("/collections/{RESTORED}newest/restore");
        let restored = client.post(&path, &body);
        if restored.status != 200 || restored.json()["documents"] != newest["documents"] {
            wrong.push(format!(
                "the snapshot {newest} is not restored: {restored:?}"
            ));
        } else {
            let collection = client.existing("restored-newest");
            check_restored(&collection, wrong);
            client.delete("/collections/restored-newest").expect(204);
        }
    }
    for snapshot in &snapshots {
        let id = snapshot["id"].as_str().unwrap_or_default();
        client.delete(&format!("{shelf}/{id}")).expect(204);
    }
}

fn check_collection(
    collection: &Collection<'_>,
    journals: &mut [Journal],
    random: &mut StdRng,
    report: &mut Report,
    wrong: &mut Vec<String>,
) {
    let name = collection.name().to_owned();
    let mut say = |what: String| wrong.push(format!("{name}: {what}"));
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
        .filter_map(|journal| journal.shelves.get_mut(&name))
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
    counted(collection, &there, &mut say);
    agreed(collection, &mut say);
    found_by_words(collection, &there, &mut say);
    found_by_meaning(collection, &there, random, &mut say);
}

fn counted(
    collection: &Collection<'_>,
    there: &BTreeMap<String, Document>,
    say: &mut impl FnMut(String),
) {
    let summary = collection.summary();
    let texts = there
        .values()
        .filter(|document| document.text.is_some())
        .count();
    let images = there
        .values()
        .filter(|document| document.picture.is_some())
        .count();
    for (field, count) in [
        ("documents", there.len()),
        ("texts", texts),
        ("images", images),
    ] {
        if summary[field] != count {
            say(format!("'{field}' is {}, not {count}", summary[field]));
        }
    }
}

fn agreed(collection: &Collection<'_>, say: &mut impl FnMut(String)) {
    let answer = collection.check();
    if answer["agrees"] != true {
        say(format!("the indexes and the documents disagree: {answer}"));
    }
}

fn found_by_words(
    collection: &Collection<'_>,
    there: &BTreeMap<String, Document>,
    say: &mut impl FnMut(String),
) {
    let documents: Vec<(&String, &Document)> = there.iter().collect();
    for some in documents.chunks(MARKS) {
        let words: Vec<&str> = some.iter().map(|(_, document)| document.mark()).collect();
        let query = json!({ "keywords": words.join(" "), "mode": "keyword", "limit": 1000 });
        let found: BTreeSet<String> = collection.ids(&query).into_iter().collect();
        let due: BTreeSet<String> = some.iter().map(|(id, _)| (*id).clone()).collect();
        for id in due.difference(&found) {
            say(format!(
                "{id} is not found by the keyword that only it holds"
            ));
        }
        for id in found.difference(&due) {
            say(format!("{id} is found by a keyword that it does not hold"));
        }
    }
}

fn found_by_meaning(
    collection: &Collection<'_>,
    there: &BTreeMap<String, Document>,
    random: &mut StdRng,
    say: &mut impl FnMut(String),
) {
    let texts: Vec<(&String, &String)> = there
        .iter()
        .filter_map(|(id, document)| Some((id, document.text.as_ref()?)))
        .collect();
    for _ in 0..SEARCHED.min(texts.len()) {
        let (id, text) = texts[random.random_range(0..texts.len())];
        let query = json!({
            "text": text, "mode": "vector", "targets": ["text"], "limit": 100, "min_score": ITSELF,
        });
        if !collection.ids(&query).contains(id) {
            say(format!("{id} is not found by its own text"));
        }
    }
}
