//! Texts longer than the model's input: every part of them is found, and a hit shows the matching
//! passage.
#![allow(clippy::unwrap_used, reason = "a test")]

use clipdb_tests::{Client, Collection, Server, SharedServer};
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(|| {
    let server = Server::start();
    let collection = server.client().collection("shelf");
    let short = json!({ "id": "short", "text": "The ferry leaves the harbour at nine." });
    collection.add(&json!([{ "id": "long", "text": long_text() }, short]));
    server
});

const MARKED: &str = "The volcano threw ash and lava over the sleeping island.";

/// 200 sentences about money, and one near the end about something else.
fn long_text() -> String {
    let dull = |n: usize| format!("Interest rates of bank number {n} rose again. ");
    let mut text = String::from("Überschrift… ");
    text.extend((0..160).map(dull));
    text.push_str(MARKED);
    text.push(' ');
    text.extend((160..200).map(dull));
    text
}

fn client() -> &'static Client {
    SERVER.client()
}

fn shelf() -> Collection<'static> {
    client().existing("shelf")
}

fn hit(query: &Value, id: &str) -> Value {
    let hits = shelf().hits(query);
    hits.into_iter().find(|hit| hit["id"] == id).unwrap()
}

#[test]
fn a_passage_near_the_end_is_found_by_meaning_and_shown() {
    let query = json!({ "text": "a volcanic eruption", "mode": "vector" });
    let hits = shelf().hits(&query);
    assert_eq!(hits[0]["id"], "long", "{hits:?}");
    assert_eq!(hits.len(), 2, "a document is one hit, however long");
    let passage = &hits[0]["passage"];
    let shown = passage["text"].as_str().unwrap();
    assert!(shown.contains(MARKED), "{shown}");
    assert!(shown.len() < 4_000, "{}", shown.len());
    let characters: Vec<char> = long_text().chars().collect();
    let offset = |name: &str| usize::try_from(passage[name].as_u64().unwrap()).unwrap();
    let cut: String = characters[offset("start")..offset("end")].iter().collect();
    assert_eq!(cut, shown, "the offsets count characters");
    assert!(hits[1].get("passage").is_none(), "{}", hits[1]);
}

#[test]
fn the_passage_matches_the_query() {
    let at = |query: &str| {
        let hit = hit(&json!({ "text": query, "explain": true }), "long");
        hit["passage"]["start"].as_u64().unwrap()
    };
    let eruption = at("lava and ash of a volcano");
    assert!(eruption > 5_000, "{eruption}");
    assert_ne!(at("Überschrift"), eruption);
}

#[test]
fn keywords_are_found_in_the_complete_text() {
    for words in ["volcano", "\"sleeping island\"", "199"] {
        assert_eq!(shelf().ids(&json!({ "keywords": words })), ["long"]);
    }
    let marked = hit(&json!({ "keywords": "volcano", "highlight": true }), "long");
    let fragment = marked["highlights"]["text"][0].as_str().unwrap();
    assert!(
        fragment.contains("The <mark>volcano</mark> threw ash"),
        "{fragment}"
    );
    assert!(marked.get("passage").is_none(), "no vector was compared");
}

#[test]
fn a_new_text_has_new_passages() {
    let collection = client().collection("changed");
    collection.add(&json!({ "id": "a", "text": long_text() }));
    let query = json!({ "text": "a volcanic eruption", "mode": "vector" });
    assert!(collection.hits(&query)[0].get("passage").is_some());
    assert!(
        collection
            .document("a")
            .expect(200)
            .json()
            .get("truncated")
            .is_none()
    );
    client()
        .patch(
            &collection.document_path("a"),
            &json!({ "text": "Now short." }),
        )
        .expect(200);
    assert!(collection.hits(&query)[0].get("passage").is_none());
    client()
        .patch(
            &collection.document_path("a"),
            &json!({ "text": long_text(), "metadata": { "n": 1 } }),
        )
        .expect(200);
    let found = collection.hits(&query);
    assert!(
        found[0]["passage"]["text"]
            .as_str()
            .unwrap()
            .contains(MARKED)
    );
    client()
        .patch(
            &collection.document_path("a"),
            &json!({ "metadata": { "n": 2 } }),
        )
        .expect(200);
    assert_eq!(collection.hits(&query)[0]["passage"], found[0]["passage"]);
    assert_eq!(collection.summary()["documents"], 1);
}

#[test]
fn passages_survive_a_restart() {
    let server = Server::start();
    let query = json!({ "text": "a volcanic eruption", "mode": "vector" });
    let collection = server.client().collection("kept");
    collection.add(&json!({ "id": "a", "text": long_text() }));
    let before = collection.hits(&query);
    let server = server.kill().start();
    let after = server.client().existing("kept").hits(&query);
    assert_eq!(after[0]["passage"], before[0]["passage"]);
}
