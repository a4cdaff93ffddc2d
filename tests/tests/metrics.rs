//! `/health`, `/ready` and `/metrics`.
#![allow(clippy::unwrap_used, reason = "a test")]

use clipdb_tests::{Client, Server, SharedServer, wait_until};
use serde_json::json;

static SERVER: SharedServer = SharedServer::new(Server::start);

fn client() -> &'static Client {
    SERVER.client()
}

#[test]
fn health_and_readiness_describe_the_server() {
    assert_eq!(
        client()
            .get("/health")
            .expect_kind(200, "application/json")
            .json()["status"],
        "ok"
    );
    let ready = client().get("/ready").expect(200).json();
    assert_eq!(ready["status"], "ready");
    assert_eq!(
        (&ready["models"][0]["name"], &ready["models"][0]["dim"]),
        (&json!("clipdb-multilingual"), &json!(576))
    );
}

#[test]
fn metrics_are_prometheus_text() {
    client()
        .post("/documents", &json!({ "text": "counted" }))
        .expect(200);
    client().get("/search?q=counted").expect(200);
    let answer = client().get("/metrics").expect_kind(200, "text/plain");
    let text = answer.text();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let ours = name.starts_with("clipdb_");
        assert!(ours || name.starts_with("jina_"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = name.split(' ').next().unwrap();
        assert!(
            text.contains(&format!("# HELP {name} ")),
            "{name} is not described"
        );
    }
}

#[test]
fn counters_increase() {
    let client = client();
    client.collection("counters");
    let stored = || client.metric("clipdb_documents_ingested_total");
    let (documents, groups) = (stored(), client.metric("clipdb_commit_groups_total"));
    let path = "/collections/counters/documents";
    client
        .post(path, &json!([{ "text": "one" }, { "text": "two" }, {}]))
        .expect(200);
    assert!(stored() >= documents + 3.0);
    assert!(client.metric("clipdb_commit_groups_total") > groups);
    let searches = client.metric("clipdb_search_seconds_count");
    client
        .post("/collections/counters/search", &json!({ "text": "one" }))
        .expect(200);
    assert!(client.metric("clipdb_search_seconds_count") > searches);
    let text = client.get("/metrics").text();
    assert!(
        text.contains("outcome=\"failed\"") && text.contains("outcome=\"stored\""),
        "{text}"
    );
    assert!(client.metric("clipdb_model_texts_total") >= 3.0, "{text}");
}

#[test]
fn vectors_are_counted_by_their_segments() {
    let client = client();
    client
        .put(
            "/collections/segments",
            &json!({"model": "none", "dim": 2, "index": {"kind": "hnsw"}}),
        )
        .expect(201);
    let document = |n: u32| json!({"id": n.to_string(), "vectors": {"text": [1, n]}});
    let documents: Vec<_> = (0..2000).map(document).collect();
    client
        .post("/collections/segments/documents", &json!(documents))
        .expect(200);
    let figure = |name: &str, labels: &str| -> f64 {
        let text = client.get("/metrics").text();
        let start = format!("{name}{{collection=\"segments\"{labels}}} ");
        let mut lines = text
            .lines()
            .filter_map(|line| line.strip_prefix(start.as_str()));
        lines.next().map_or(0.0, |value| value.parse().unwrap())
    };
    let growing = ",vectors=\"text\",index=\"flat\",state=\"growing\"";
    assert_eq!(figure("clipdb_vectors", growing), 2000.0);
    assert!(figure("clipdb_vector_memory_bytes", growing) >= 16000.0);
    assert_eq!(figure("clipdb_vector_builds_total", ""), 0.0);
    client
        .post("/collections/segments/compact", &json!({}))
        .expect(202);
    let stored = ",vectors=\"text\",index=\"hnsw\",state=\"stored\"";
    assert!(wait_until(|| figure("clipdb_vectors", stored) == 2000.0));
    assert!(wait_until(
        || figure("clipdb_vector_builds_under_way", "") == 0.0
    ));
    assert_eq!(figure("clipdb_vector_segments", stored), 1.0);
    assert!(figure("clipdb_vector_disk_bytes", stored) > 16000.0);
    assert!(figure("clipdb_vector_builds_total", "") >= 1.0);
    assert!(figure("clipdb_vector_build_seconds_total", "") > 0.0);
    client
        .delete("/collections/segments/documents/7")
        .expect(204);
    assert_eq!(figure("clipdb_vectors_removed", stored), 1.0);
    client.delete("/collections/segments").expect(204);
    assert!(
        !client
            .get("/metrics")
            .text()
            .contains("collection=\"segments\"")
    );
}
