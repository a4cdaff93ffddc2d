//! What was acknowledged survives `kill -9` at any moment, and is searchable.
//!
//! The seed of the moments is printed; `CLIPDB_TEST_SEED` replays it.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use clipdb_tests::{Campaign, Client, Server, pictures, wait_until};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

const KILLS: usize = 3;
const DOCUMENTS: usize = 100_000;

fn document(number: usize) -> Value {
    let id = format!("d{number:06}");
    match number % 8 {
        0 => json!({ "id": id, "image": Client::image(&pictures::png(number as u64)) }),
        1 => {
            json!({ "id": id, "text": format!("picture and text {number}"), "image": Client::image(&pictures::png(number as u64)) })
        }
        _ => json!({ "id": id, "text": format!("the text of document {number}") }),
    }
}

fn seed() -> u64 {
    let given = std::env::var("CLIPDB_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("replay with CLIPDB_TEST_SEED={seed}");
    seed
}

#[test]
fn acknowledged_writes_survive_kill_9() {
    let mut random = StdRng::seed_from_u64(seed());
    let campaign = Campaign::new("crash", DOCUMENTS, 8, &document);
    let mut server = Server::start();
    server.client().collection("crash");
    for kill in 1..=KILLS {
        let before = campaign.acknowledged();
        let moment = Duration::from_millis(random.random_range(0..1_500));
        let stopped = campaign.write_until_killed(server, 3, || {
            assert!(
                wait_until(|| campaign.acknowledged() > before),
                "nothing is acknowledged"
            );
            std::thread::sleep(moment);
        });
        let acknowledged = campaign.acknowledged();
        server = stopped.start();
        let losses = campaign.losses(server.client(), 10);
        assert!(
            losses.is_empty(),
            "after kill {kill} at {moment:?} of {acknowledged} documents:\n{losses:#?}"
        );
        whole(server.client());
    }
}

/// Whatever is stored, acknowledged or not, is whole: listed once, counted, with
/// its picture's bytes, and known to the indexes.
fn whole(client: &Client) {
    let collection = client.existing("crash");
    let listed = collection.list(500);
    let summary = collection.summary();
    let count = |field: &str| {
        listed
            .iter()
            .filter(|document| document.get(field).is_some())
            .count()
    };
    assert_eq!(summary["documents"], listed.len());
    assert_eq!(summary["images"], count("image"));
    assert_eq!(summary["texts"], count("text"));
    for stored in listed
        .iter()
        .filter(|document| document.get("image").is_some())
    {
        client.get(stored["image"].as_str().unwrap()).expect(200);
    }
}

#[test]
fn deletes_and_replacements_survive_kill_9() {
    let server = Server::start();
    let collection = server.client().collection("changes");
    collection.add(&json!(
        (0..20)
            .map(|number| json!({ "id": format!("c{number}"), "text": format!("before {number}") }))
            .collect::<Vec<_>>()
    ));
    server
        .client()
        .delete(&collection.document_path("c3"))
        .expect(204);
    collection.add(&json!({ "id": "c4", "text": "replaced entirely" }));
    server
        .client()
        .patch(
            &collection.document_path("c5"),
            &json!({ "metadata": { "colour": "magenta" } }),
        )
        .expect(200);
    server
        .client()
        .collection("dropped")
        .add(&json!({ "text": "gone" }));
    server.client().delete("/collections/dropped").expect(204);

    let server = server.kill().start();
    let collection = server.client().existing("changes");
    server.client().get("/collections/dropped").expect(404);
    collection.document("c3").expect(404);
    assert_eq!(collection.summary()["documents"], 19);
    assert_eq!(collection.ids(&json!({ "keywords": "replaced" })), ["c4"]);
    assert_eq!(collection.ids(&json!({ "keywords": "magenta" })), ["c5"]);
    let ids = collection.ids(&json!({ "text": "before 3", "mode": "vector", "limit": 100 }));
    assert_eq!(ids.len(), 19);
    assert!(!ids.contains(&"c3".to_owned()));
    let hit = &collection.hits(&json!({ "text": "replaced entirely", "mode": "vector" }))[0];
    assert_eq!(hit["id"], "c4");
    assert!(hit["score"].as_f64().unwrap() > 0.999, "{hit}");
}
