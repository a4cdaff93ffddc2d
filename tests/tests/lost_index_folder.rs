//! The folder of the search indexes is deleted while the server runs. It is rebuilt from the
//! documents, and no write is refused permanently.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use clipdb_tests::folder::files;
use clipdb_tests::{Client, Server, Setup, wait_until};
use serde_json::{Value, json};

fn setup() -> Setup {
    // Small segments, so that some are on disk and not only in memory.
    Setup::new()
}

fn fill(client: &Client, name: &str) {
    let index = json!({ "seal_at": 64 });
    client
        .put(
            &format!("/collections/{name}"),
            &json!({ "model": "none", "dim": 4, "index": index }),
        )
        .expect(201);
    let documents: Vec<Value> = (0..300).map(|number| document(number, "old")).collect();
    client.existing(name).add(&json!(documents));
    let built = || client.existing(name).summary()["index"]["building"] == false;
    assert!(wait_until(built));
}

fn document(number: usize, word: &str) -> Value {
    let vector = [1.0, (number % 17) as f64, (number % 5) as f64, 0.25];
    json!({ "id": format!("{word}{number}"), "text": format!("{word} page{number}"), "vectors": { "text": vector } })
}

fn assert_complete(client: &Client, name: &str, documents: usize) {
    let collection = client.existing(name);
    assert_eq!(collection.summary()["documents"], documents);
    let check = collection.check();
    assert_eq!(check["agrees"], true, "{check}");
    assert_eq!(
        collection
            .ids(&json!({ "keywords": "page7", "limit": 5 }))
            .len(),
        1
    );
    let query =
        json!({ "vector": [1, 7, 2, 0.25], "mode": "vector", "exact": true, "limit": 1000 });
    assert_eq!(collection.hits(&query).len(), documents);
    let health = client.get("/health").expect(200).json();
    assert_eq!(health["status"], "ok", "{health}");
}

fn empty(folder: &Path) {
    // Like `rm -r` while files are created in it: each file that it meets, once.
    for path in files(folder) {
        let _ = fs::remove_file(path);
    }
    let _ = fs::remove_dir_all(folder);
}

#[test]
fn writes_continue_and_no_document_is_missing() {
    let server = setup().start();
    let client = server.client();
    fill(client, "a");
    fill(client, "b");
    let index = server.data().join("index");
    fs::remove_dir_all(&index).unwrap();
    // Open files can still be searched.
    assert_eq!(
        client.existing("a").ids(&json!({ "keywords": "page7" })),
        ["old7"]
    );
    client.existing("a").add(&document(1000, "new"));
    assert_eq!(
        client.existing("a").ids(&json!({ "keywords": "page1000" })),
        ["new1000"]
    );
    client
        .delete(&client.existing("b").document_path("old299"))
        .expect(204);
    assert_complete(client, "a", 301);
    assert_complete(client, "b", 299);
    assert!(!files(&index).is_empty());
    // The rebuilt index is valid at the next startup.
    let server = server.stop().start();
    assert_complete(server.client(), "a", 301);
    assert_complete(server.client(), "b", 299);
    assert!(
        !server
            .log()
            .contains("bringing the search index up to date"),
        "{}",
        server.log()
    );
}

#[test]
fn the_folder_may_be_deleted_repeatedly_during_writes() {
    let server = setup().start();
    let client = server.client();
    fill(client, "a");
    let index = server.data().join("index");
    let (done, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (done, written) = (&done, &written);
            scope.spawn(move || {
                let mut number = 1000 * (writer + 1);
                while !done.load(Ordering::Acquire) {
                    // A write may fail during the deletion; it is never refused permanently.
                    let path = "/collections/a/documents";
                    let stored = || client.post(path, &document(number, "new")).status == 200;
                    assert!(wait_until(stored), "writes are refused for good");
                    written.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                }
            });
        }
        for round in 0..8 {
            let before = written.load(Ordering::Relaxed);
            let more = || written.load(Ordering::Relaxed) > before + 10;
            assert!(wait_until(more), "no writes before round {round}");
            empty(&index);
        }
        let before = written.load(Ordering::Relaxed);
        assert!(wait_until(|| written.load(Ordering::Relaxed) > before + 10));
        done.store(true, Ordering::Release);
    });
    let documents = 300 + written.load(Ordering::Relaxed);
    assert_complete(client, "a", documents);
    let stopped = server.stop();
    assert_eq!(stopped.check(&[]).code, Some(0));
    assert_complete(stopped.start().client(), "a", documents);
}

#[test]
fn a_closed_index_is_rebuilt_on_use() {
    let server = Setup::new().flag("--open-collections", "1").start();
    let client = server.client();
    ["a", "b", "c"].iter().for_each(|name| fill(client, name));
    empty(&server.data().join("index"));
    for name in ["a", "b", "c"] {
        let searched = || {
            let path = format!("/collections/{name}/search");
            client.post(&path, &json!({ "keywords": "page7" })).status == 200
        };
        assert!(wait_until(searched), "{name}");
        assert_complete(client, name, 300);
    }
    assert_served(&server);
}

fn assert_served(server: &Server) {
    for name in ["a", "b", "c"] {
        server.client().existing(name).add(&document(2000, "late"));
        assert_complete(server.client(), name, 301);
    }
}
