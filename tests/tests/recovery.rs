//! Indexes are derived data: whatever happens to their files, the next startup serves all documents
//! from the stored vectors, without the model.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

use clipdb_tests::folder::{copy, files};
use clipdb_tests::{Client, Server, Setup, pictures};
use serde_json::{Value, json};

const TEXTS: usize = 60;
const PICTURES: u64 = 12;

fn text(number: usize) -> String {
    format!("entry{number} of the log book")
}

fn fill(client: &Client) {
    let collection = client.collection("log");
    let texts =
        (0..TEXTS).map(|number| json!({ "id": format!("t{number}"), "text": text(number) }));
    let pictures =
        (0..PICTURES).map(|seed| pictures::document(&format!("p{seed}"), &pictures::png(seed)));
    collection.add(&json!(texts.chain(pictures).collect::<Vec<Value>>()));
}

/// All documents exist and are found by keyword, by meaning and by image.
fn assert_serves_everything(client: &Client, what: &str) {
    let embedded =
        client.metric("clipdb_model_texts_total") + client.metric("clipdb_model_images_total");
    assert_eq!(embedded, 0.0, "{what}: a restart embedded something");
    let collection = client.existing("log");
    let summary = collection.summary();
    assert_eq!(summary["documents"], TEXTS as u64 + PICTURES, "{what}");
    assert_eq!(
        (&summary["texts"], &summary["images"]),
        (&json!(TEXTS), &json!(PICTURES)),
        "{what}"
    );
    for number in [0, 7, TEXTS - 1] {
        assert_eq!(
            collection.ids(&json!({ "keywords": format!("entry{number}") })),
            [format!("t{number}")],
            "{what}"
        );
        let hit = &collection
            .hits(&json!({ "text": text(number), "mode": "vector", "targets": ["text"] }))[0];
        assert_eq!(hit["id"], format!("t{number}"), "{what}");
    }
    let query = json!({ "image": Client::image(&pictures::png(3)), "targets": ["image"] });
    let hit = &collection.hits(&query)[0];
    assert_eq!(hit["id"], "p3", "{what}");
    assert!(hit["score"].as_f64().unwrap() > 0.999, "{what}: {hit}");
    let embedded =
        client.metric("clipdb_model_texts_total") + client.metric("clipdb_model_images_total");
    assert!(
        embedded > 0.0,
        "the metric counts searches: it would have counted a restart's work"
    );
}

fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn scramble(path: &Path) {
    let length = fs::metadata(path).unwrap().len() as usize;
    fs::write(path, pictures::random_bytes(length as u64, length)).unwrap();
}

fn flip_one_bit(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    if let Some(middle) = bytes
        .len()
        .checked_div(2)
        .filter(|middle| *middle < bytes.len())
    {
        bytes[middle] ^= 0x10;
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn corrupt_indexes_are_rebuilt_from_the_documents() {
    let server = Server::start();
    fill(server.client());
    let mut stopped = server.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    let index = stopped.data().join("index");
    assert!(!files(&index).is_empty(), "no files in {}", index.display());

    let on_every_file =
        |damage: fn(&Path)| move |index: &Path| files(index).iter().for_each(|path| damage(path));
    type Damage = Box<dyn Fn(&Path)>;
    let damages: [(&str, Damage); 6] = [
        ("nothing", Box::new(|_| {})),
        (
            "the folder is gone",
            Box::new(|index| fs::remove_dir_all(index).unwrap()),
        ),
        ("every file is cut", Box::new(on_every_file(truncate))),
        ("every file is noise", Box::new(on_every_file(scramble))),
        (
            "a bit of every file is another",
            Box::new(on_every_file(flip_one_bit)),
        ),
        (
            "every other file is gone",
            Box::new(|index| {
                files(index)
                    .iter()
                    .step_by(2)
                    .for_each(|path| fs::remove_file(path).unwrap());
            }),
        ),
    ];
    for (what, damage) in damages {
        damage(&index);
        let server = stopped.start();
        assert_serves_everything(server.client(), what);
        stopped = server.stop();
    }
}

#[test]
fn an_outdated_index_catches_up() {
    let server = Server::start();
    let collection = server.client().collection("log");
    collection.add(&json!(
        (0..5)
            .map(|number| json!({ "id": format!("t{number}"), "text": "an older version" }))
            .collect::<Vec<_>>()
    ));
    collection.add(&json!({ "id": "gone", "text": "to be deleted" }));
    let stopped = server.stop();
    let past = tempfile::tempdir().unwrap();
    copy(&stopped.data().join("index"), past.path());

    let server = stopped.start();
    fill(server.client());
    server
        .client()
        .delete(&server.client().existing("log").document_path("gone"))
        .expect(204);
    let stopped = server.stop();
    let index = stopped.data().join("index");
    fs::remove_dir_all(&index).unwrap();
    copy(past.path(), &index);

    let server = stopped.start();
    assert_serves_everything(server.client(), "an old index");
    let collection = server.client().existing("log");
    assert!(collection.hits(&json!({ "keywords": "older" })).is_empty());
    assert!(
        collection
            .hits(&json!({ "keywords": "deleted" }))
            .is_empty()
    );
}

/// The index of 20,000 documents is missing. They can be read at once, and searches report what they
/// wait for instead of returning a partial result.
#[test]
fn documents_can_be_read_during_the_rebuild_of_their_index() {
    let server = Setup::new().flag("--start-patience-seconds", "0").start();
    let client = server.client();
    client
        .put("/collections/many", &json!({ "model": "none", "dim": 8 }))
        .expect(201);
    let many = client.existing("many");
    for part in 0..10 {
        let documents: Vec<Value> = (part * 2000..(part + 1) * 2000)
            .map(|number| {
                let vector: Vec<f64> = (0..8)
                    .map(|at| f64::from(number % (at + 7)) + 0.5)
                    .collect();
                json!({ "id": format!("d{number}"), "vectors": { "image": vector } })
            })
            .collect();
        client
            .post(&many.path("/documents"), &json!(documents))
            .expect(200);
    }
    let stopped = server.stop();
    fs::remove_dir_all(stopped.data().join("index")).unwrap();

    let server = stopped.start();
    let client = server.client();
    let many = client.existing("many");
    let browse = json!({ "sort": "$id", "limit": 1 });
    let refused = client.post(&many.path("/search"), &browse);
    let problem = refused.expect_problem(503, "catching_up");
    assert!(
        problem["detail"].as_str().unwrap().contains("'many'"),
        "{problem}"
    );
    assert_eq!(many.summary()["catching_up"]["documents"], 20_000);
    many.document("d19999").expect(200);
    client.get(&many.path("/documents?limit=5")).expect(200);
    // A write waits for the rebuild, and is searchable when it is acknowledged.
    let written = json!({ "id": "late", "vectors": { "image": [1, 0, 0, 0, 0, 0, 0, 0] } });
    client.post(&many.path("/documents"), &written).expect(200);
    let all = client
        .post(&many.path("/search"), &browse)
        .expect(200)
        .json();
    assert_eq!(all["total"], json!({ "value": 20_001, "kind": "exact" }));
    assert!(many.summary().get("catching_up").is_none());
}

#[test]
fn nothing_is_encoded_again_after_a_kill() {
    let server = Server::start();
    fill(server.client());
    let server = server.kill().start();
    assert_serves_everything(server.client(), "kill -9");
}
