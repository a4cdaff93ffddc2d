//! Many small collections: only a few have open indexes, all are served, and their cost in threads
//! and memory does not grow with their number.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clipdb_tests::{Client, Server, Setup, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

/// Collections of one test; many more than the limit of open indexes.
const MANY: usize = 300;
const OPEN: usize = 12;

fn setup() -> Setup {
    Setup::new().flag("--open-collections", &OPEN.to_string())
}

fn name(number: usize) -> String {
    format!("album{number}")
}

fn document(collection: usize, id: &str) -> Value {
    json!({
        "id": id,
        "text": format!("{id} of shelf{collection}"),
        "metadata": { "shelf": collection },
        "vectors": { "text": [1.0, collection as f64 / MANY as f64, 0.0, 0.5] },
    })
}

fn create(client: &Client, number: usize) {
    let path = format!("/collections/{}", name(number));
    client
        .put(&path, &json!({ "model": "none", "dim": 4 }))
        .expect(201);
    add(client, number, "first");
}

fn add(client: &Client, number: usize, id: &str) {
    let path = format!("/collections/{}/documents", name(number));
    let answer = client.post(&path, &document(number, id)).expect(200).json();
    assert_eq!(answer["failed"], 0, "{answer}");
}

/// Documents that a keyword, a vector and a filter find.
fn assert_complete(client: &Client, number: usize, ids: &[&str]) {
    let collection = client.existing(&name(number));
    let mut ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    ids.sort();
    for query in [
        json!({ "keywords": format!("shelf{number}") }),
        json!({ "vector": [1, 0, 0, 0], "mode": "vector" }),
        json!({ "keywords": "of", "filter": { "shelf": number } }),
    ] {
        let mut found = collection.ids(&query);
        found.sort();
        assert_eq!(found, ids, "{} by {query}", name(number));
    }
}

/// Runs `work` for each number, on eight threads.
fn each(numbers: std::ops::Range<usize>, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(numbers.start);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        break;
                    }
                    work(number);
                }
            });
        }
    });
}

fn threads(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/task", server.pid()))
        .unwrap()
        .count()
}

fn mappings(server: &Server) -> usize {
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.pid())).unwrap();
    maps.lines().count()
}

fn loaded(client: &Client) -> f64 {
    client.metric("clipdb_collections_loaded")
}

#[test]
fn the_cost_of_collections_does_not_grow_with_their_number() {
    let server = setup().start();
    let client = server.client();
    each(0..40, |number| create(client, number));
    let (threads_of_40, mappings_of_40) = (threads(&server), mappings(&server));
    each(40..MANY, |number| create(client, number));
    assert!(
        threads(&server) <= threads_of_40 + 8,
        "{} threads, {threads_of_40} with 40 collections",
        threads(&server)
    );
    assert!(
        mappings(&server) <= 2 * mappings_of_40,
        "{} mappings, {mappings_of_40} with 40 collections",
        mappings(&server)
    );
    assert!(wait_until(|| loaded(client) <= OPEN as f64));
    each(0..MANY, |number| {
        assert_complete(client, number, &["first"]);
    });
    assert!(wait_until(|| loaded(client) <= OPEN as f64));

    // The list of collections opens none, and has the counts of each.
    let before = client.metric("clipdb_collections_loaded");
    let all = client.get("/collections").expect(200).json();
    let all = all["collections"].as_array().unwrap();
    assert_eq!(all.len(), MANY);
    for one in all {
        let figures = (
            &one["status"],
            &one["documents"],
            &one["texts"],
            &one["images"],
        );
        let due = (&json!("open"), &json!(1), &json!(1), &json!(0));
        assert_eq!(figures, due, "{one}");
    }
    assert!(loaded(client) <= before);

    // A clean shutdown saves them; the next startup serves all and opens a few.
    let begun = Instant::now();
    let stopped = server.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    // Generous, for a loaded machine: the usual time is below a second.
    assert!(begun.elapsed() < Duration::from_secs(20));
    let server = stopped.start();
    let client = server.client();
    assert!(loaded(client) <= OPEN as f64);
    each(0..MANY, |number| add(client, number, "second"));
    each(0..MANY, |number| {
        assert_complete(client, number, &["first", "second"]);
    });
    assert!(threads(&server) <= threads_of_40 + 8);

    // After `kill -9` an index that was only in memory is rebuilt from the documents on first use.
    let server = server.kill().start();
    let client = server.client();
    each(0..MANY, |number| {
        assert_complete(client, number, &["first", "second"]);
    });
    assert_eq!(client.get("/health").expect(200).json()["status"], "ok");
    let stopped = server.stop();
    let checked = stopped.check(&[]);
    assert_eq!(checked.code, Some(0), "{}", checked.stdout);
}

#[test]
fn a_closed_collection_supports_every_operation() {
    let server = setup().start();
    let client = server.client();
    each(0..60, |number| create(client, number));
    assert!(wait_until(|| loaded(client) <= OPEN as f64));
    // The first ones are the least recently used.
    client.existing(&name(0)).document("first").expect(200);
    assert_eq!(client.existing(&name(1)).list(10).len(), 1);
    assert_eq!(client.existing(&name(2)).check()["agrees"], true);
    let summary = client.existing(&name(3)).summary();
    assert_eq!(
        (&summary["documents"], &summary["texts"]),
        (&json!(1), &json!(1))
    );
    client
        .send(
            Method::POST,
            &format!("/collections/{}/compact", name(4)),
            None,
            "",
        )
        .expect(202);

    // A snapshot of a closed one, restored in its place after a change.
    let path = format!("/collections/{}/snapshots", name(5));
    let id = client
        .send(Method::POST, &path, None, "")
        .expect(201)
        .json()["id"]
        .clone();
    add(client, 5, "second");
    let path = format!("/collections/{}/restore", name(5));
    let body = json!({ "snapshot": id, "collection": name(5) });
    client.post(&path, &body).expect(200);
    assert_complete(client, 5, &["first"]);

    // Dropped while closed, and created again: nothing of the old one is left.
    let path = format!("/collections/{}", name(6));
    client.delete(&path).expect(204);
    client
        .get(&path)
        .expect_problem(404, "collection_not_found");
    let kept = fs::read_dir(server.data().join("index")).unwrap();
    let prefix = format!("{}-", name(6));
    let mut left = kept.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(&prefix)
    });
    assert!(left.next().is_none());
    create(client, 6);
    assert_complete(client, 6, &["first"]);

    // Writes and a deletion by filter, on closed ones.
    let path = "/documents?filter=%7B%22shelf%22%3A7%7D";
    let deleted = client.delete(&format!("/collections/{}{path}", name(7)));
    assert_eq!(deleted.expect(200).json()["deleted"], 1);
    assert_complete(client, 7, &[]);
    let path = format!("/collections/{}/documents/first", name(8));
    client
        .patch(&path, &json!({ "metadata": { "read": true } }))
        .expect(200);
    let found = client
        .existing(&name(8))
        .ids(&json!({ "keywords": "of", "filter": { "read": true } }));
    assert_eq!(found, ["first"]);
    let stopped = server.stop();
    assert_eq!(stopped.check(&[]).code, Some(0));
}

#[test]
fn concurrent_first_searches_open_once_and_creations_delay_no_search() {
    let server = setup().start();
    let client = server.client();
    each(0..60, |number| create(client, number));
    assert!(wait_until(|| loaded(client) <= OPEN as f64));
    // Forty concurrent requests for a closed one.
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| assert_complete(client, 0, &["first"]));
        }
    });
    // Searches of an open one, while others are created and dropped.
    let (begun, done) = (Instant::now(), AtomicBool::new(false));
    let slowest = std::thread::scope(|scope| {
        let searches = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            while !done.load(Ordering::Acquire) {
                let begun = Instant::now();
                assert_complete(client, 0, &["first"]);
                slowest = slowest.max(begun.elapsed());
            }
            slowest
        });
        each(100..160, |number| {
            create(client, number);
            client
                .delete(&format!("/collections/{}", name(number)))
                .expect(204);
        });
        done.store(true, Ordering::Release);
        searches.join().unwrap()
    });
    // A search that waits for the creations takes about as long as all of them.
    let limit = Duration::from_secs(3).max(begun.elapsed() / 2);
    assert!(slowest < limit, "{slowest:?}, limit {limit:?}");
}

#[test]
fn a_new_collection_is_never_reported_as_catching_up() {
    let server = setup().start();
    let client = server.client();
    each(0..60, |number| {
        let collection = format!("/collections/{}", name(number));
        client
            .put(&collection, &json!({ "model": "none", "dim": 4 }))
            .expect(201);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let filter = "filter=%7B%22year%22%3A2024%7D";
                    client
                        .get(&format!("{collection}/documents?{filter}"))
                        .expect(200);
                });
            }
        });
    });
}

#[test]
fn a_collection_beyond_the_limit_is_refused_by_name() {
    let server = Setup::new().flag("--max-collections", "3").start();
    let client = server.client();
    (0..3).for_each(|number| create(client, number));
    let one_more = || client.put(&format!("/collections/{}", name(3)), &json!({}));
    let problem = one_more().expect_problem(422, "too_many_collections");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains('3') && detail.contains("--max-collections"),
        "{detail}"
    );
    client
        .post(
            "/documents",
            &json!({ "text": "the default one is one more" }),
        )
        .expect_problem(422, "too_many_collections");
    // Existing ones accept documents, and creating them again succeeds.
    add(client, 1, "second");
    client
        .put(
            &format!("/collections/{}", name(1)),
            &json!({ "model": "none", "dim": 4 }),
        )
        .expect(200);
    client
        .delete(&format!("/collections/{}", name(0)))
        .expect(204);
    one_more().expect(201);
    // Startup accepts the existing ones.
    let server = server.stop().start();
    assert_complete(server.client(), 1, &["first", "second"]);
}
