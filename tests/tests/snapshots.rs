//! Snapshots over HTTP and on the command line: taken during writes, downloaded, restored under the
//! same and another name; a refused one changes nothing. Tasks: followed, cancelled.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use clipdb_tests::{Client, Collection, Server, Setup, SharedServer, pictures, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(Server::start);

fn client() -> &'static Client {
    SERVER.client()
}

fn filled<'a>(client: &'a Client, name: &str) -> Collection<'a> {
    let collection = client.collection(name);
    let texts = (0..40).map(
        |n| json!({ "id": format!("t{n}"), "text": format!("note {n}"), "metadata": { "n": n } }),
    );
    let drawn = (0..4).map(|seed| pictures::document(&format!("p{seed}"), &pictures::png(seed)));
    collection.add(&json!(texts.chain(drawn).collect::<Vec<Value>>()));
    collection
}

fn take(client: &Client, name: &str) -> Value {
    let path = format!("/collections/{name}/snapshots");
    client
        .send(Method::POST, &path, None, "")
        .expect(201)
        .json()
}

fn archive(client: &Client, name: &str, id: &str) -> Vec<u8> {
    let path = format!("/collections/{name}/snapshots/{id}");
    client.get(&path).expect(200).body
}

fn restore(client: &Client, name: &str, archive: &[u8]) -> clipdb_tests::Answer {
    let path = format!("/collections/{name}/restore");
    client.send(
        Method::POST,
        &path,
        Some("application/octet-stream"),
        archive,
    )
}

/// The parts of a summary that a restore preserves: everything except name and dates.
fn content(collection: &Collection<'_>) -> Vec<Value> {
    let mut listed = collection.list(500);
    for document in &mut listed {
        document.as_object_mut().unwrap().remove("image");
    }
    listed
}

#[test]
fn a_collection_without_a_model_is_restored_with_its_vectors() {
    let body = json!({ "model": "none", "dim": 3, "index": { "kind": "flat" } });
    client().put("/collections/bare", &body).expect(201);
    let documents = json!([
        { "id": "x", "vectors": { "text": [1, 0, 0] } },
        { "id": "y", "vectors": { "text": [0, 2, 0], "image": [0, 0, 1] } },
    ]);
    client().existing("bare").add(&documents);
    let info = take(client(), "bare");
    let bytes = archive(client(), "bare", info["id"].as_str().unwrap());
    let restored = restore(client(), "bare-again", &bytes).expect(200).json();
    assert_eq!(
        (&restored["model"], &restored["documents"]),
        (&json!("none"), &json!(2))
    );
    let again = client().existing("bare-again");
    let nearest = json!({ "vector": [0, 0.1, 2], "with_vectors": true, "limit": 1 });
    let hit = &again.hits(&nearest)[0];
    assert_eq!(
        (&hit["id"], &hit["vectors"]["text"]),
        (&json!("y"), &json!([0.0, 1.0, 0.0]))
    );
}

#[test]
fn a_snapshot_is_listed_downloaded_restored_and_removed() {
    let collection = filled(client(), "album");
    let info = take(client(), "album");
    assert_eq!(
        (&info["documents"], &info["images"]),
        (&json!(44), &json!(4))
    );
    let id = info["id"].as_str().unwrap();
    let listed = client()
        .get("/collections/album/snapshots")
        .expect(200)
        .json();
    assert_eq!(listed["snapshots"], json!([info]));
    let bytes = archive(client(), "album", id);
    assert_eq!(bytes.len() as u64, info["bytes"].as_u64().unwrap());

    let before = content(&collection);
    collection.add(&json!({ "id": "t1", "text": "changed since" }));
    client().delete(&collection.document_path("t2")).expect(204);

    // Under another name, from the file; nothing is encoded again.
    let embedded = client().metric("clipdb_model_texts_total");
    let summary = restore(client(), "album-copy", &bytes).expect(200).json();
    assert_eq!(summary["documents"], 44, "{summary}");
    assert_eq!(client().metric("clipdb_model_texts_total"), embedded);
    let copy = client().existing("album-copy");
    assert_eq!(content(&copy), before);
    assert_eq!(copy.image("p3").expect(200).body, pictures::png(3));
    assert_eq!(copy.check()["agrees"], true);
    assert_eq!(
        copy.ids(&json!({ "text": "note 7", "mode": "vector", "limit": 1 })),
        ["t7"]
    );
    assert_eq!(
        copy.ids(&json!({ "keywords": "7", "mode": "keyword" })),
        ["t7"]
    );

    // Under its own name, from the server's own copy: back to the earlier state.
    let body = json!({ "snapshot": id });
    client()
        .post("/collections/album/restore", &body)
        .expect(200);
    assert_eq!(content(&collection), before);
    assert_eq!(collection.check()["agrees"], true);
    collection.add(&json!({ "id": "after", "text": "written after the restore" }));
    assert_eq!(collection.summary()["documents"], 45);

    // A snapshot outlives its collection.
    client().delete("/collections/album").expect(204);
    let body = json!({ "snapshot": id, "collection": "album" });
    client()
        .post("/collections/album-again/restore", &body)
        .expect(200);
    assert_eq!(content(&client().existing("album-again")), before);

    let path = format!("/collections/album/snapshots/{id}");
    client().delete(&path).expect(204);
    client()
        .get(&path)
        .expect_problem(404, "snapshot_not_found");
    client()
        .delete(&path)
        .expect_problem(404, "snapshot_not_found");
    client()
        .get("/collections/album/snapshots")
        .expect_problem(404, "collection_not_found");
}

#[test]
fn a_failed_restore_changes_nothing() {
    let collection = filled(client(), "kept");
    let info = take(client(), "kept");
    let whole = archive(client(), "kept", info["id"].as_str().unwrap());
    collection.add(&json!({ "id": "new", "text": "newer than the snapshot" }));
    let before = content(&collection);
    let unchanged = |what: &str| {
        assert_eq!(content(&collection), before, "{what}");
        assert_eq!(collection.check()["agrees"], true, "{what}");
    };
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 4;
    for (what, bytes) in [
        ("cut", &whole[..whole.len() - 60]),
        ("a bit", &flipped[..]),
        ("nothing", &[][..]),
        ("no snapshot", &b"{\"documents\": []}"[..]),
    ] {
        restore(client(), "kept", bytes).expect_problem(422, "invalid_snapshot");
        unchanged(what);
        restore(client(), "never", bytes).expect_problem(422, "invalid_snapshot");
        client().get("/collections/never").expect(404);
    }
    let other = json!({ "snapshot": "0192f0c1-0000-7000-8000-000000000000" });
    client()
        .post("/collections/kept/restore", &other)
        .expect_problem(404, "snapshot_not_found");
    let unknown = json!({ "snapshot": "x", "from": "y" });
    client()
        .post("/collections/kept/restore", &unknown)
        .expect_problem(422, "unknown_field");
    client()
        .send(Method::POST, "/collections/absent/snapshots", None, "")
        .expect_problem(404, "collection_not_found");
    unchanged("all of it");
}

#[test]
fn snapshots_are_taken_and_restored_while_others_write_and_search() {
    let collection = filled(client(), "busy");
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut round = 0;
            while !ended.load(Ordering::Acquire) {
                round += 1;
                // Ten documents that always have the same text: one array is one atomic group.
                let documents: Vec<Value> = (0..10)
                    .map(|n| json!({ "id": format!("same{n}"), "text": format!("round {round}") }))
                    .collect();
                collection.add(&json!(documents));
            }
            round
        });
        let searcher = scope.spawn(|| {
            while !ended.load(Ordering::Acquire) {
                collection.hits(&json!({ "text": "a note", "limit": 5 }));
            }
        });
        for n in 0..4 {
            let info = take(client(), "busy");
            let bytes = archive(client(), "busy", info["id"].as_str().unwrap());
            let copy = format!("busy-{n}");
            let summary = restore(client(), &copy, &bytes).expect(200).json();
            assert_eq!(summary["documents"], info["documents"]);
            assert_eq!(client().existing(&copy).check()["agrees"], true);
        }
        ended.store(true, Ordering::Release);
        assert!(writer.join().unwrap() > 0);
        searcher.join().unwrap();
    });
}

#[test]
fn the_command_line_takes_and_restores_snapshots() {
    filled(client(), "shelf");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shelf.snapshot");
    let command = |arguments: &[&str]| {
        let setup = arguments
            .iter()
            .fold(Setup::new(), |setup, one| setup.switch(one));
        setup.flag("--server", client().base()).run()
    };
    let file_name = file.to_str().unwrap();
    let taken = command(&["snapshot", "shelf", "-o", file_name]);
    assert_eq!(taken.code, Some(0), "{}", taken.stderr);
    assert!(
        taken.stdout.contains("44 documents and 4 images"),
        "{}",
        taken.stdout
    );
    let listed = client()
        .get("/collections/shelf/snapshots")
        .expect(200)
        .json();
    assert_eq!(
        listed["snapshots"],
        json!([]),
        "it was to be removed from the server"
    );
    let again = command(&["snapshot", "shelf", "-o", file_name]);
    assert_eq!(again.code, Some(1), "an existing file was overwritten");
    let nowhere = file.with_extension("none");
    let unknown = command(&["snapshot", "no-shelf", "-o", nowhere.to_str().unwrap()]);
    assert_eq!(unknown.code, Some(1), "{}", unknown.stderr);
    assert!(!nowhere.exists(), "a failure leaves no file");

    let restored = command(&["restore", file_name, "--name", "shelf-copy"]);
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert_eq!(
        content(&client().existing("shelf-copy")),
        content(&client().existing("shelf"))
    );
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let cut = command(&["restore", file_name, "--name", "shelf-cut"]);
    assert_eq!(cut.code, Some(1), "{}", cut.stdout);
    assert!(cut.stderr.contains("cut short"), "{}", cut.stderr);
    client().get("/collections/shelf-cut").expect(404);
}

#[test]
fn documents_of_a_task_are_stored_later() {
    let collection = client().collection("later");
    let path = collection.path("/documents?wait=false");
    let documents: Vec<Value> = (0..30)
        .map(|n| json!({ "id": format!("l{n}"), "text": format!("later {n}") }))
        .chain([json!({ "id": "bad" })])
        .collect();
    let ended = |task: &Value| {
        let path = format!("/tasks/{}", task["id"].as_str().unwrap());
        let mut seen = Value::Null;
        assert!(wait_until(|| {
            seen = client().get(&path).expect(200).json();
            seen["state"] != "running"
        }));
        seen
    };
    let answer = client().post(&path, &json!(documents)).expect(202);
    assert!(answer.header("location").unwrap().starts_with("/tasks/"));
    let task = ended(&answer.json());
    assert_eq!(task["state"], "done", "{task:#}");
    assert_eq!((&task["done"], &task["total"]), (&json!(31), &json!(31)));
    assert_eq!(task["result"], json!({ "stored": 30, "failed": 1 }));
    assert_eq!(task["errors"][0]["code"], "empty_document");
    assert_eq!(task["errors"][0]["id"], "bad");
    assert_eq!(collection.summary()["documents"], 30);

    let lines: String = (0..25)
        .map(|n| format!("{{\"id\":\"n{n}\",\"text\":\"line {n}\"}}\n"))
        .collect();
    let answer = client()
        .send(Method::POST, &path, Some("application/x-ndjson"), lines)
        .expect(202);
    assert_eq!(ended(&answer.json())["result"]["stored"], 25);
    assert_eq!(collection.summary()["documents"], 55);

    // Cancelled: stored documents stay, the rest is not stored.
    let many: Vec<Value> = (0..600)
        .map(|n| json!({ "id": format!("m{n}"), "text": format!("many {n}") }))
        .collect();
    let begun = client().post(&path, &json!(many)).expect(202).json();
    let task_path = format!("/tasks/{}", begun["id"].as_str().unwrap());
    client().delete(&task_path).expect(202);
    let task = ended(&begun);
    assert_eq!(task["state"], "cancelled", "{task:#}");
    assert!(task["done"].as_u64() < Some(600), "{task:#}");
    let all = client().get("/tasks").expect(200).json();
    assert!(all["tasks"].as_array().unwrap().contains(&task));
    client().delete(&task_path).expect(204);
    client()
        .get(&task_path)
        .expect_problem(404, "task_not_found");
    client()
        .post(
            &collection.path("/documents?wait=perhaps"),
            &json!({ "text": "x" }),
        )
        .expect(422);
}

#[test]
fn a_shutdown_stores_the_documents_of_accepted_tasks() {
    let server = Server::start();
    let collection = server.client().collection("stop");
    let path = collection.path("/documents?wait=false");
    let documents: Vec<Value> = (0..120)
        .map(|n| json!({ "id": format!("s{n}"), "text": format!("kept {n}") }))
        .collect();
    server.client().post(&path, &json!(documents)).expect(202);
    let server = server.stop().start();
    assert_eq!(server.client().existing("stop").summary()["documents"], 120);
}
