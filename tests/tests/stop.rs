//! SIGTERM: the server completes and answers accepted requests, then exits with 0.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::thread;

use clipdb_tests::{Client, Server, Setup, pictures, wait_until};
use serde_json::json;

#[test]
fn an_accepted_ingest_is_completed_and_answered() {
    let server = Server::start();
    server.client().collection("stop");
    let documents: Vec<_> = (0..60)
        .map(|number| json!({ "id": format!("s{number}"), "text": format!("accepted {number}"), "image": Client::image(&pictures::png(number)) }))
        .collect();
    let client = server.client().clone();
    let answer = thread::scope(|scope| {
        let request = scope.spawn(|| client.post("/collections/stop/documents", &json!(documents)));
        let begun = wait_until(|| {
            server.client().get("/collections/stop").json()["documents"].as_u64() > Some(0)
        });
        assert!(
            begun && !request.is_finished(),
            "the signal has to arrive during the ingest"
        );
        server.ask_to_stop();
        request.join().unwrap()
    });
    let answer = answer.expect(200).json();
    assert_eq!(
        (&answer["created"], &answer["failed"]),
        (&json!(60), &json!(0))
    );
    let stopped = server.wait();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);

    let server = stopped.start();
    let collection = server.client().existing("stop");
    assert_eq!(collection.summary()["documents"], 60);
    assert_eq!(collection.image("s59").expect(200).body, pictures::png(59));
    assert_eq!(
        collection
            .hits(&json!({ "keywords": "accepted", "limit": 1000 }))
            .len(),
        60
    );
}

#[test]
fn an_idle_server_stops_at_once_and_releases_its_folder() {
    let server = Setup::new().start();
    let started = std::time::Instant::now();
    let stopped = server.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    // Generous, for a loaded machine: a server that waits for its timeouts takes longer.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    stopped.start().client().get("/ready").expect(200);
}
