//! Acknowledged writes survive `kill -9` at any moment, and are searchable.
//!
//! The seed is printed; `CLIPDB_TEST_SEED` reproduces the run. `make torture KILLS=…` runs the same
//! for any number of kills.
#![allow(clippy::unwrap_used, reason = "a test")]

use clipdb_tests::{Server, Torture};
use serde_json::json;

const KILLS: usize = 20;

fn seed() -> u64 {
    let given = std::env::var("CLIPDB_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("replay with CLIPDB_TEST_SEED={seed}");
    seed
}

#[test]
fn acknowledged_writes_survive_twenty_kills() {
    let torture = Torture {
        seed: seed(),
        kills: KILLS,
        writers: 3,
    };
    let report = torture
        .run(|_, _| {})
        .unwrap_or_else(|failure| panic!("{failure}"));
    println!("{report:#?}");
    let acknowledged: usize = report.acknowledged.values().sum();
    assert!(
        acknowledged > KILLS,
        "hardly anything was written: {report:#?}"
    );
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
