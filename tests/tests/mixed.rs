//! One collection of emoji images without text, separate texts that describe the same things, and
//! sentences of a novel. Neither kind outranks the other, whatever their cosines are.
//! `fusion_table` measures the same with a thousand emoji.
#![allow(clippy::unwrap_used, reason = "a test")]

use clipdb_tests::{Client, Collection, Server, SharedServer, pictures};
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(|| {
    let server = Server::start();
    let collection = server.client().collection("mixed");
    let drawings = pictures::DRAWINGS
        .iter()
        .map(|name| json!({ "id": name, "image": Client::image(&pictures::drawing(name)) }));
    let descriptions = DESCRIPTIONS
        .iter()
        .map(|(name, text)| json!({ "id": described(name), "text": text }));
    let novel = include_str!("data/novel.txt")
        .lines()
        .enumerate()
        .map(|(number, text)| json!({ "id": format!("novel/{number}"), "text": text }));
    let all: Vec<Value> = drawings.chain(descriptions).chain(novel).collect();
    collection.add(&json!(all));
    server
});

const DESCRIPTIONS: [(&str, &str); 5] = [
    (
        "castle",
        "A sign about a castle, a fortress with towers and walls.",
    ),
    ("dog-face", "A sign about a dog, a pet with a wet nose."),
    (
        "grinning-face",
        "A sign about a grinning face, someone happy.",
    ),
    (
        "red-apple",
        "A sign about a red apple, a fruit from a tree.",
    ),
    (
        "umbrella",
        "A sign about an umbrella, which keeps off the rain.",
    ),
];

/// Queries and the things that they mean.
const QUERIES: [(&str, &str); 12] = [
    ("castle", "castle"),
    ("a medieval fortress", "castle"),
    ("dog face", "dog-face"),
    ("a puppy", "dog-face"),
    ("grinning face", "grinning-face"),
    ("a big smile", "grinning-face"),
    ("red apple", "red-apple"),
    ("fruit", "red-apple"),
    ("umbrella", "umbrella"),
    ("bad weather", "umbrella"),
    // Sentences of the novel are close to these.
    ("someone laughs", "grinning-face"),
    ("the walls of an old house", "castle"),
];

/// The hits of a page.
const PAGE: usize = 4;

fn described(name: &str) -> String {
    format!("text/{name}")
}

fn mixed() -> Collection<'static> {
    SERVER.client().existing("mixed")
}

/// The ranking of a server that merges both kinds by their cosines.
fn by_raw_cosine(words: &str) -> Vec<String> {
    let mut hits: Vec<(f64, String)> = ["image", "text"]
        .iter()
        .flat_map(|kind| {
            mixed()
                .hits(&json!({ "text": words, "mode": "vector", "targets": [kind], "limit": 100 }))
        })
        .map(|hit| {
            let id = hit["id"].as_str().unwrap().to_owned();
            (hit["score"].as_f64().unwrap(), id)
        })
        .collect();
    hits.sort_by(|a, b| b.0.total_cmp(&a.0));
    hits.into_iter().map(|(_, id)| id).collect()
}

#[test]
fn an_image_and_its_description_share_a_page() {
    let (mut worst, mut worst_by_cosine) = (0, 0);
    for (query, name) in QUERIES {
        let place = |ids: &[String], wanted: &str| {
            let at = ids.iter().position(|id| id == wanted);
            1 + at.unwrap_or_else(|| panic!("'{query}' does not find {wanted}: {ids:?}"))
        };
        let page = mixed().ids(&json!({ "text": query, "limit": PAGE }));
        place(&page, &described(name));
        worst = worst.max(place(&page, name));
        worst_by_cosine = worst_by_cosine.max(place(&by_raw_cosine(query), name));
    }
    println!("the lowest place of a picture: {worst}, by raw cosines {worst_by_cosine}");
    assert!(worst < worst_by_cosine, "{worst} and {worst_by_cosine}");
}

#[test]
fn linear_fusion_also_shares_a_page() {
    for (query, name) in QUERIES {
        let linear = json!({ "method": "linear" });
        let page = mixed().ids(&json!({ "text": query, "limit": 10, "fusion": linear }));
        assert!(page.contains(&name.to_owned()), "'{query}': {page:?}");
        assert!(page.contains(&described(name)), "'{query}': {page:?}");
    }
}

#[test]
fn a_negative_weight_lowers_the_rank_in_every_list() {
    let rank = |query: &Value, id: &str| {
        let ids = mixed().ids(&json!({ "query": query, "mode": "vector", "limit": 90 }));
        ids.iter().position(|found| found == id).unwrap()
    };
    let things = json!([{ "text": "food" }]);
    let no_fruit = json!([
        { "text": "food" },
        { "text": "apple", "weight": -0.7 },
        { "image": { "base64": Client::image(&pictures::drawing("red-apple"))["base64"] }, "weight": -0.2 },
    ]);
    for id in ["red-apple", "text/red-apple"] {
        assert!(rank(&no_fruit, id) > rank(&things, id), "{id}");
    }
    assert!(rank(&no_fruit, "umbrella") < rank(&no_fruit, "red-apple"));
}
