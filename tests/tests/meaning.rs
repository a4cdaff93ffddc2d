//! The bundled model end to end, with real drawings: images by words, texts by image.
#![allow(clippy::unwrap_used, reason = "a test")]

use clipdb_tests::{Client, Collection, Server, SharedServer, pictures};
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(|| {
    let server = Server::start();
    let collection = server.client().collection("meaning");
    let pictures: Vec<Value> = pictures::DRAWINGS
        .iter()
        .map(|name| pictures::document(name, &pictures::drawing(name)))
        .collect();
    collection.add(&json!(pictures));
    let texts = TEXTS.map(|(id, text)| json!({ "id": id, "text": text }));
    collection.add(&json!(texts));
    server
});

const TEXTS: [(&str, &str); 6] = [
    ("t-dog", "The puppy barked at the postman."),
    (
        "t-castle",
        "A medieval fortress with towers stood on the hill.",
    ),
    ("t-apple", "She ate an apple and two other pieces of fruit."),
    ("t-umbrella", "Take something against the rain."),
    ("t-joy", "He grinned from ear to ear."),
    ("t-law", "The court adjourned the hearing until spring."),
];

fn meaning() -> Collection<'static> {
    SERVER.client().existing("meaning")
}

#[test]
fn images_are_found_by_words() {
    for (query, picture) in [
        ("a dog", "dog-face"),
        ("umbrella", "umbrella"),
        ("a castle", "castle"),
        ("red apple", "red-apple"),
        ("a grinning face", "grinning-face"),
    ] {
        let ids = meaning().ids(&json!({ "text": query, "mode": "vector", "targets": ["image"] }));
        assert_eq!(ids[0], picture, "'{query}': {ids:?}");
    }
}

#[test]
fn images_are_found_by_words_of_other_languages() {
    for (query, picture) in [
        ("Regenschirm", "umbrella"),
        ("ein Foto von einem Hund", "dog-face"),
        ("château", "castle"),
        ("manzana roja", "red-apple"),
        ("\u{96e8}\u{4f1e}", "umbrella"),
        ("\u{72d7}", "dog-face"),
        ("\u{57ce}\u{5821}", "castle"),
        ("\u{308a}\u{3093}\u{3054}", "red-apple"),
        ("\u{437}\u{43e}\u{43d}\u{442}", "umbrella"),
        ("\u{643}\u{644}\u{628}", "dog-face"),
        ("\u{915}\u{941}\u{924}\u{94d}\u{924}\u{93e}", "dog-face"),
    ] {
        let ids = meaning().ids(&json!({ "text": query, "mode": "vector", "targets": ["image"] }));
        assert_eq!(ids[0], picture, "'{query}': {ids:?}");
    }
}

#[test]
fn texts_are_found_across_languages() {
    for (query, text) in [
        ("Ein Welpe bellt den Brieftr\u{e4}ger an", "t-dog"),
        ("une forteresse du Moyen \u{c2}ge", "t-castle"),
        ("el tribunal aplaz\u{f3} la audiencia", "t-law"),
    ] {
        let ids = meaning().ids(&json!({ "text": query, "mode": "vector", "targets": ["text"] }));
        assert_eq!(ids[0], text, "'{query}': {ids:?}");
    }
}

#[test]
fn an_image_and_a_text_of_the_same_meaning_share_a_page() {
    for (query, picture, text) in [
        ("puppy", "dog-face", "t-dog"),
        ("castle", "castle", "t-castle"),
        ("apple", "red-apple", "t-apple"),
    ] {
        let ids = meaning().ids(&json!({ "text": query, "limit": 4 }));
        assert!(
            ids.contains(&picture.to_owned()) && ids.contains(&text.to_owned()),
            "'{query}': {ids:?}"
        );
    }
}

#[test]
fn texts_are_found_by_an_image() {
    for (picture, text) in [
        ("dog-face", "t-dog"),
        ("castle", "t-castle"),
        ("red-apple", "t-apple"),
    ] {
        let image = Client::image(&pictures::drawing(picture));
        let ids = meaning().ids(&json!({ "image": image, "targets": ["text"], "limit": 3 }));
        assert!(ids.contains(&text.to_owned()), "{picture}: {ids:?}");
    }
}
