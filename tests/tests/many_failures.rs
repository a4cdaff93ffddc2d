//! Requests of very many documents, failing or not, need bounded memory and do not delay other
//! requests.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clipdb_tests::{Client, Server, SharedServer, machine};
use reqwest::Method;
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(Server::start);

fn client() -> &'static Client {
    SERVER.client()
}

const JSON: Option<&str> = Some("application/json");
const NDJSON: Option<&str> = Some("application/x-ndjson");

/// The result of `work`, and the slowest `/health` during it.
fn with_health_latency<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            while !ended.load(Ordering::Relaxed) {
                let begun = Instant::now();
                client().get("/health").expect(200);
                longest = longest.max(begun.elapsed());
                std::thread::sleep(Duration::from_millis(5));
            }
            longest
        });
        let done = work();
        ended.store(true, Ordering::Relaxed);
        (done, watch.join().unwrap())
    })
}

#[test]
fn all_failures_are_counted_and_their_list_is_limited() {
    let path = client().collection("many-failures").path("/documents");
    let before = machine::resident(SERVER.pid());
    for (kind, body, count) in [
        (JSON, format!("[{}{{}}]", "{},".repeat(399_999)), 400_000),
        (NDJSON, "{}\n".repeat(1_000_000), 1_000_000),
        (JSON, format!("[{}0]", "0,".repeat(199_999)), 200_000),
        (NDJSON, "x\n".repeat(200_000), 200_000),
    ] {
        let begun = Instant::now();
        let (answer, longest) =
            with_health_latency(|| client().send(Method::POST, &path, kind, body));
        let took = begun.elapsed();
        println!(
            "{count} failures: {took:?}, {} bytes, /health {longest:?}",
            answer.body.len()
        );
        assert!(answer.body.len() < 2_000_000, "{}", answer.body.len());
        let answer = answer.expect(200).json();
        let results = answer["results"].as_array().unwrap().len() as u64;
        assert_eq!(answer["failed"], count);
        assert!((100..=10_000).contains(&results), "{results}");
        assert_eq!(answer["failures_not_listed"], count - results);
        // A request that the work blocks takes about as long as the work.
        let limit = Duration::from_secs(2).max(took / 2);
        assert!(longest < limit, "{longest:?} of {took:?}");
    }
    let grown = machine::resident(SERVER.pid()) - before;
    assert!(grown < 300.0, "{grown} MB");
}

#[test]
fn results_after_omitted_failures_keep_their_positions() {
    let collection = client().collection("behind-failures");
    let body = format!(
        "[{{\"id\":\"first\",\"text\":\"a\"}},{}{{\"id\":\"last\",\"text\":\"b\"}}]",
        "{},".repeat(5000)
    );
    let answer = client()
        .send(Method::POST, &collection.path("/documents"), JSON, body)
        .expect(200)
        .json();
    assert_eq!(
        (&answer["created"], &answer["failed"]),
        (&json!(2), &json!(5000))
    );
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results[0]["id"], "first");
    let last = results.last().unwrap();
    assert_eq!(
        (&last["id"], &last["index"]),
        (&json!("last"), &json!(5001))
    );
}

#[test]
fn a_long_list_of_results_is_complete_and_in_order() {
    let definition = json!({ "model": "none", "dim": 2 });
    client()
        .put("/collections/long-list", &definition)
        .expect(201);
    let collection = client().existing("long-list");
    let count = 12_000;
    let lines: String = (0..count)
        .map(|number| {
            format!(
                "{{\"id\":\"document number {number}\",\"vectors\":{{\"text\":[1,{number}]}}}}\n"
            )
        })
        .collect();
    let path = collection.path("/documents");
    let answer = client()
        .send(Method::POST, &path, NDJSON, lines.clone())
        .expect(200);
    assert!(answer.body.len() > 500_000);
    let answer = answer.json();
    assert_eq!(answer["created"], count);
    let results = answer["results"].as_array().unwrap();
    for (number, result) in results.iter().enumerate() {
        assert_eq!(result["id"], format!("document number {number}"));
        assert_eq!(result["status"], "created");
    }
    assert_eq!(results.len(), count);
    // The same in a form, as a task, and compressed for a client that accepts it.
    let request = client()
        .request(Method::POST, &path)
        .header("content-type", NDJSON.unwrap());
    let answer =
        clipdb_tests::send(request.header("accept-encoding", "gzip").body(lines)).expect(200);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let left = std::fs::read_dir(SERVER.data().join("snapshots"));
    assert!(left.map_or(true, |mut files| files.next().is_none()));
}

#[test]
fn many_failures_of_a_task_are_counted() {
    let path = client()
        .collection("task-failures")
        .path("/documents?wait=false");
    let form = "multipart/form-data; boundary=bb";
    let array = format!("[{}{{}}]", "{},".repeat(99_999));
    let part = format!(
        "--bb\r\ncontent-disposition: form-data; name=\"documents\"\r\n\r\n{array}\r\n--bb--\r\n"
    );
    for (kind, body) in [(JSON.unwrap(), array), (form, part)] {
        let task = client()
            .send(Method::POST, &path, Some(kind), body)
            .expect(202)
            .json();
        let path = format!("/tasks/{}", task["id"].as_str().unwrap());
        let mut seen = Value::Null;
        assert!(clipdb_tests::wait_until(|| {
            seen = client().get(&path).expect(200).json();
            seen["state"] != "running"
        }));
        assert_eq!(
            (&seen["failed"], &seen["done"], &seen["total"]),
            (&json!(100_000), &json!(100_000), &json!(100_000)),
            "{kind}"
        );
    }
}

#[test]
fn work_ends_when_its_client_disconnects() {
    // Its own server, whose counters no other test changes.
    let server = Server::start();
    let client = server.client();
    let path = client.collection("ended").path("/documents");
    let failed = || client.metric("clipdb_documents_ingested_total");
    // The stream is larger than the system's buffers: the server cannot see the end of a smaller
    // one.
    for (kind, body, all) in [
        (
            "application/json",
            format!("[{}{{}}]", "{},".repeat(3_000_000)),
            3e6,
        ),
        ("application/x-ndjson", "{}\n".repeat(20_000_000), 20e6),
    ] {
        let before = failed();
        let mut stream = TcpStream::connect(client.address()).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut copy = stream.try_clone().unwrap();
        let sender = std::thread::spawn(move || copy.write_all(body.as_bytes()));
        assert!(clipdb_tests::wait_until(|| failed() > before));
        stream.shutdown(std::net::Shutdown::Both).unwrap();
        let _ = sender.join().unwrap();
        drop(stream);
        let mut seen = failed();
        let still = clipdb_tests::wait_until(|| {
            std::thread::sleep(Duration::from_millis(700));
            std::mem::replace(&mut seen, failed()) == seen
        });
        assert!(
            still && seen - before < all / 2.0,
            "{kind}: {}",
            seen - before
        );
    }
}
