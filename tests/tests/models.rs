//! Several models in one server, each with a collection of its own, and replicas.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clipdb_tests::{Client, Server, Setup, SharedServer, pictures};
use serde_json::{Value, json};

const BUNDLED: &str = "clipdb-multilingual";
/// The default before it.
const EARLIER: &str = "clipdb-mini";
/// A CLIP with seeded random weights: 48 dimensions.
const RANDOM: &str = "clip-vit-base-patch32";
const SENTENCES: [&str; 3] = ["a cat on a mat", "rain over the harbour", "a tax report"];

static SERVER: SharedServer = SharedServer::new(|| two_models().start());

fn two_models() -> Setup {
    Setup::new()
        .flag("--model", BUNDLED)
        .flag("--model", random_model().to_str().unwrap())
}

fn random_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../embed/parity/golden/{RANDOM}"))
}

/// The vectors of `texts` from a model.
fn encode(client: &Client, model: &str, texts: &[&str]) -> Vec<Vec<f64>> {
    let inputs: Vec<Value> = texts.iter().map(|text| json!({ "text": text })).collect();
    let body = json!({ "inputs": inputs, "model": model });
    let answer = client.post("/encode", &body).expect(200).json();
    assert_eq!(answer["model"], model);
    serde_json::from_value(answer["vectors"].clone()).unwrap()
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// The value of a metric for one model.
fn metric(client: &Client, name: &str, model: &str) -> f64 {
    let text = client.get("/metrics").expect(200).text();
    let sample = format!("{name}{{model=\"{model}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&sample));
    line.unwrap_or_else(|| panic!("{sample} in {text}"))
        .parse()
        .unwrap()
}

#[test]
fn every_description_lists_both_models() {
    let ready = SERVER.client().get("/ready").expect(200).json();
    let models = ready["models"].as_array().unwrap();
    let listed: Vec<(&str, u64, u64)> = models
        .iter()
        .map(|model| {
            let number = |field: &str| model[field].as_u64().unwrap();
            (
                model["name"].as_str().unwrap(),
                number("dim"),
                number("replicas"),
            )
        })
        .collect();
    assert_eq!(listed, [(BUNDLED, 576, 1), (RANDOM, 48, 1)]);
    let listed = SERVER.client().get("/v1/models").expect(200).json();
    let ids: Vec<&Value> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| &model["id"])
        .collect();
    assert_eq!(ids, [BUNDLED, RANDOM]);
    let banner = SERVER.banner();
    assert!(
        banner.contains(BUNDLED) && banner.contains(RANDOM),
        "{banner}"
    );
    for model in [BUNDLED, RANDOM] {
        assert_eq!(metric(SERVER.client(), "clipdb_model_replicas", model), 1.0);
    }
}

/// Documents and queries of a collection use only its own model.
#[test]
fn vectors_of_two_models_never_meet() {
    let client = SERVER.client();
    for (name, model, dim) in [("of-bundled", BUNDLED, 576), ("of-random", RANDOM, 48)] {
        let path = format!("/collections/{name}");
        client.put(&path, &json!({ "model": model })).expect(201);
        let collection = client.existing(name);
        let documents: Vec<Value> = SENTENCES
            .iter()
            .map(|text| json!({ "id": text, "text": text }))
            .collect();
        let other = if model == BUNDLED { RANDOM } else { BUNDLED };
        let count = |model| metric(client, "clipdb_model_texts_total", model);
        let before = (count(model), count(other));
        collection.add(&json!(documents));
        collection.add(&json!({ "id": "picture", "image": Client::image(&pictures::png(1)) }));
        let hits =
            collection.hits(&json!({ "text": "a pet", "mode": "vector", "targets": ["text"] }));
        assert_eq!(
            (count(model), count(other)),
            (before.0 + 4.0, before.1),
            "three texts and a query of {model}"
        );
        let summary = collection.summary();
        assert_eq!(
            (&summary["model"], &summary["dim"]),
            (&json!(model), &json!(dim))
        );

        let query = &encode(client, model, &["a pet"])[0];
        let vectors = encode(client, model, &SENTENCES);
        assert_eq!(hits.len(), SENTENCES.len());
        for hit in &hits {
            let at = SENTENCES
                .iter()
                .position(|text| hit["id"] == **text)
                .unwrap();
            let score = hit["score"].as_f64().unwrap();
            assert!(
                (score - dot(query, &vectors[at])).abs() < 1e-3,
                "{model}: {hit}"
            );
        }
        let foreign = &encode(client, other, &["a pet"])[0];
        collection
            .search(&json!({ "vector": foreign }))
            .expect_problem(422, "wrong_dimension");
        client
            .put(&path, &json!({ "model": other }))
            .expect_problem(409, "collection_exists");
    }
}

#[test]
fn an_unknown_model_is_refused_with_the_known_names() {
    let client = SERVER.client();
    let one = json!([{ "text": "a" }]);
    for (path, body, status) in [
        ("/encode", json!({ "inputs": one, "model": "absent" }), 422),
        (
            "/rank",
            json!({ "query": one[0], "candidates": one, "model": "absent" }),
            422,
        ),
        (
            "/v1/embeddings",
            json!({ "input": "a", "model": "absent" }),
            404,
        ),
    ] {
        let problem = client
            .post(path, &body)
            .expect_problem(status, "unknown_model");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(BUNDLED) && detail.contains(RANDOM),
            "{detail}"
        );
    }
    let problem = client
        .put("/collections/of-absent", &json!({ "model": "absent" }))
        .expect_problem(422, "unknown_model");
    assert!(problem["detail"].as_str().unwrap().contains(RANDOM));
}

#[test]
fn each_model_ranks_with_its_own_scale() {
    let query = json!({ "text": SENTENCES[0] });
    let candidates = json!([{ "text": SENTENCES[1] }, { "text": SENTENCES[2] }]);
    let scales = [BUNDLED, RANDOM].map(|model| {
        let body = json!({ "query": query, "candidates": candidates, "model": model });
        let answer = SERVER.client().post("/rank", &body).expect(200).json();
        assert_eq!(answer["model"], model);
        let number = |at: usize, field: &str| answer["candidates"][at][field].as_f64().unwrap();
        // The logarithm of the odds divided by the difference of the cosines.
        (number(0, "probability") / number(1, "probability")).ln()
            / (number(0, "cosine") - number(1, "cosine"))
    });
    assert!((scales[0] - 20.0).abs() < 0.1, "{scales:?}");
    assert!((scales[1] - 2.6592_f64.exp()).abs() < 0.5, "{scales:?}");
}

#[test]
fn a_collection_without_its_model_keeps_its_documents() {
    let server = two_models().start();
    let path = "/collections/waiting";
    server
        .client()
        .put(path, &json!({ "model": RANDOM }))
        .expect(201);
    server
        .client()
        .existing("waiting")
        .add(&json!({ "id": "a", "text": "kept" }));
    let stopped = server.stop();
    let server = Setup::new().start_on(&stopped);
    let collection = server.client().existing("waiting");
    assert_eq!(collection.document("a").expect(200).json()["text"], "kept");
    let problem = collection
        .search(&json!({ "text": "kept", "mode": "vector" }))
        .expect_problem(409, "model_not_loaded");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains(RANDOM) && detail.contains(BUNDLED),
        "{detail}"
    );
    let stopped = server.stop();
    let server = two_models().start_on(&stopped);
    let hits = server
        .client()
        .existing("waiting")
        .ids(&json!({ "text": "kept" }));
    assert_eq!(hits, ["a"]);
}

#[test]
fn a_file_lists_models_with_their_replicas() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clipdb.toml");
    let text = format!(
        "[[models]]\nname = {:?}\nreplicas = 2\n\n[[models]]\nname = '{BUNDLED}'\n",
        random_model()
    );
    std::fs::write(&file, text).unwrap();
    let server = Setup::new()
        .flag("--config", file.to_str().unwrap())
        .start();
    let ready = server.client().get("/ready").expect(200).json();
    let listed: Vec<(&Value, &Value)> = ready["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| (&model["name"], &model["replicas"]))
        .collect();
    assert_eq!(
        listed,
        [(&json!(RANDOM), &json!(2)), (&json!(BUNDLED), &json!(1))]
    );
    assert!(
        server.banner().contains("2 replicas"),
        "{}",
        server.banner()
    );
    // The first model is the default.
    let summary = server.client().collection("of-default").summary();
    assert_eq!(summary["model"], RANDOM);
}

#[test]
fn the_same_model_twice_is_refused() {
    let finished = Setup::new()
        .flag("--model", BUNDLED)
        .flag("--model", BUNDLED)
        .refused();
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("twice"), "{}", finished.stderr);
}

/// The CPU time of each device thread of the server, in clock ticks.
fn device_threads(server: &Server) -> Vec<u64> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    tasks
        .flatten()
        .filter_map(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
            let (name, fields) = stat.split_once('(')?.1.rsplit_once(") ")?;
            let fields: Vec<&str> = fields.split(' ').collect();
            name.starts_with("clipdb-device")
                .then(|| fields[11].parse::<u64>().unwrap())
        })
        .collect()
}

#[test]
fn replicas_share_the_work_and_preserve_the_order() {
    let server = Setup::new()
        .flag("--replicas", "2")
        // LibTorch's own threads would inherit the device thread's name.
        .flag("--threads", "1")
        .start();
    let client = server.client();
    assert_eq!(metric(client, "clipdb_model_replicas", BUNDLED), 2.0);
    let before = device_threads(&server);
    assert_eq!(before.len(), 2, "a thread a replica");
    let texts: Vec<String> = (0..200)
        .map(|number| format!("input {number} {}", "and more words ".repeat(number % 40)))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = encode(client, BUNDLED, &texts);
    let after = device_threads(&server);
    // A thread without work uses no further ticks.
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(before, after)| after > before),
        "{before:?} {after:?}"
    );
    for position in [0, 57, 199] {
        let alone = &encode(client, BUNDLED, &[texts[position]])[0];
        assert!(dot(alone, &vectors[position]) > 0.9999, "input {position}");
    }
    let stopped = server.stop();
    assert!(stopped.status.success(), "{}", stopped.log);
}

/// A folder from before clipdb-multilingual: its collections keep their model, new ones take the new.
#[test]
fn the_default_model_of_earlier_versions_serves_its_collections() {
    let folder = Arc::new(tempfile::TempDir::new().unwrap());
    let earlier = Setup::new()
        .flag("--model", EARLIER)
        .start_in(Arc::clone(&folder));
    let collection = earlier.client().collection("old");
    collection.add(&json!({ "id": "mat", "text": "a cat on a mat" }));
    collection.add(&json!({ "id": "rain", "text": "rain over the harbour" }));
    let query = json!({ "text": "a pet", "mode": "vector" });
    let before = collection.hits(&query);
    earlier.stop();

    let server = Setup::new().start_in(Arc::clone(&folder));
    let ready = server.client().get("/ready").expect(200).json();
    let names = ready["models"].as_array().unwrap().iter();
    let names: Vec<&str> = names.map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, [BUNDLED, EARLIER]);
    let old = server.client().existing("old");
    assert_eq!(old.hits(&query), before);
    assert_eq!(old.summary()["model"], EARLIER);
    let new = server.client().collection("new");
    assert_eq!(new.summary()["model"], BUNDLED);
    server.stop();

    // Named models are all that is loaded.
    let server = Setup::new().flag("--model", BUNDLED).start_in(folder);
    let answer = server.client().existing("old").search(&query);
    answer.expect_problem(409, "model_not_loaded");
}
