//! Searches find exactly the existing documents: by keyword, by text, by given vector.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::super::Report;
use super::super::document::Document;
use super::super::vectors::{KINDS, cosine, vector};
use crate::client::Collection;

/// Marks in one keyword search.
const MARKS: usize = 100;
/// Documents per collection that are searched for by their own text or vector.
const SEARCHED: usize = 4;
/// The minimum score of a document for its own text or vector.
const ITSELF: f64 = 0.999;
/// Hits per page of a search for all documents.
const PAGE: usize = 1000;
/// Scores and vector components that differ by less are equal.
const SAME: f64 = 1e-4;

pub(super) fn by_keywords(
    collection: &Collection<'_>,
    there: &BTreeMap<String, Document>,
    fault: &mut impl FnMut(String),
) {
    let documents: Vec<(&String, &Document)> = there.iter().collect();
    for some in documents.chunks(MARKS) {
        let words: Vec<&str> = some.iter().map(|(_, document)| document.mark()).collect();
        let query = json!({ "keywords": words.join(" "), "mode": "keyword", "limit": 1000 });
        let found: BTreeSet<String> = collection.ids(&query).into_iter().collect();
        let due: BTreeSet<String> = some.iter().map(|(id, _)| (*id).clone()).collect();
        for id in due.difference(&found) {
            fault(format!("{id} is not found by its unique keyword"));
        }
        for id in found.difference(&due) {
            fault(format!(
                "{id} is found by a keyword that it does not contain"
            ));
        }
    }
}

pub(super) fn by_text(
    collection: &Collection<'_>,
    there: &BTreeMap<String, Document>,
    random: &mut StdRng,
    fault: &mut impl FnMut(String),
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
            fault(format!("{id} is not found by its own text"));
        }
    }
}

/// An exact search finds every document and scores it by its given vector: a document with another
/// vector in the index or in storage is a fault. Then some are searched for by their own vectors.
pub(super) fn by_vectors(
    collection: &Collection<'_>,
    there: &BTreeMap<String, Document>,
    random: &mut StdRng,
    report: &mut Report,
    fault: &mut impl FnMut(String),
) {
    for kind in KINDS {
        let query = vector(random.random());
        let mut found = all_hits(collection, kind, &query, fault);
        let mut due = Vec::new();
        for (id, document) in there {
            if let Some(own) = document.vectors.of(kind) {
                due.push((id, document, own));
            }
        }
        for (id, _, own) in &due {
            report.vectors_compared += 1;
            match found.remove(id.as_str()) {
                None => fault(format!("{id} is not found by its {kind} vector")),
                Some(hit) => {
                    if let Some(difference) = differs(&hit, kind, &query, own) {
                        fault(format!("{id}: {difference}"));
                    }
                }
            }
        }
        for id in found.keys() {
            fault(format!(
                "{id} is found by a {kind} vector that it does not have"
            ));
        }
        for _ in 0..SEARCHED.min(due.len()) {
            let (id, document, own) = &due[random.random_range(0..due.len())];
            let query = json!({
                "vector": own, "mode": "vector", "targets": [kind], "limit": 10,
                "filter": { "mark": document.mark() }, "min_score": ITSELF,
            });
            if collection.ids(&query) != [(*id).clone()] {
                fault(format!(
                    "{id} is not found by its unique mark and its {kind} vector"
                ));
            }
        }
    }
}

/// All hits of an exact search by their ids.
fn all_hits(
    collection: &Collection<'_>,
    kind: &str,
    query: &[f32],
    fault: &mut impl FnMut(String),
) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    loop {
        let hits = collection.hits(&json!({
            "vector": query, "mode": "vector", "targets": [kind], "exact": true,
            "limit": PAGE, "offset": found.len(), "with_vectors": true, "fields": [],
        }));
        let last = hits.len() < PAGE;
        for hit in hits {
            let id = hit["id"].as_str().unwrap_or_default().to_owned();
            if found.insert(id.clone(), hit).is_some() {
                fault(format!("{id} is found twice by one {kind} vector"));
            }
        }
        if last {
            return found;
        }
    }
}

/// How a hit differs from what its document's given vector determines.
fn differs(hit: &Value, kind: &str, query: &[f32], own: &[f32]) -> Option<String> {
    let (score, due) = (hit["score"].as_f64()?, cosine(query, own));
    if (score - due).abs() > SAME {
        return Some(format!(
            "its {kind} vector in the index is a different one: it scores {score:.5}, not {due:.5}"
        ));
    }
    let components = hit["vectors"][kind].as_array()?.iter();
    let stored: Vec<f32> = components
        .map(|number| number.as_f64().unwrap_or_default() as f32)
        .collect();
    (stored.len() != own.len() || (cosine(&stored, own) - 1.0).abs() > SAME)
        .then(|| format!("its {kind} vector in storage is a different one"))
}
