//! `POST /rank`: ranks texts and images by their similarity to a query.
#![allow(clippy::unwrap_used, reason = "a test")]

use clipdb_tests::{Client, Server, SharedServer, pictures};
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(Server::start);

fn rank(body: &Value) -> Vec<Value> {
    let answer = SERVER.client().post("/rank", body).expect(200).json();
    assert_eq!(answer["model"], "clipdb-multilingual");
    answer["candidates"].as_array().unwrap().clone()
}

fn numbers(candidates: &[Value], field: &str) -> Vec<f64> {
    candidates
        .iter()
        .map(|candidate| candidate[field].as_f64().unwrap())
        .collect()
}

fn drawing(name: &str) -> Value {
    json!({ "image": Client::image(&pictures::drawing(name)) })
}

#[test]
fn labels_are_ranked_without_training() {
    let labels = ["a castle", "an umbrella", "a red apple", "a dog"];
    for (name, right) in [("umbrella", 1), ("castle", 0), ("red-apple", 2)] {
        let candidates: Vec<Value> = labels
            .iter()
            .map(|label| json!({ "text": label }))
            .collect();
        let found = rank(&json!({ "query": drawing(name), "candidates": candidates }));
        assert_eq!(found.len(), labels.len());
        assert_eq!(found[0]["index"], right, "{name}: {found:?}");
        assert_eq!(found[0]["text"], labels[right]);
        let probabilities = numbers(&found, "probability");
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-5);
        for field in ["probability", "cosine"] {
            let values = numbers(&found, field);
            assert!(values.is_sorted_by(|one, next| one >= next), "{values:?}");
        }
    }
}

#[test]
fn images_and_texts_are_ranked_against_words() {
    let found = rank(&json!({
        "query": { "text": "an umbrella" },
        "candidates": [drawing("castle"), { "text": "an umbrella" }, drawing("umbrella")],
    }));
    let order: Vec<u64> = found
        .iter()
        .map(|found| found["index"].as_u64().unwrap())
        .collect();
    assert_eq!(order, [1, 2, 0], "{found:?}");
    assert!((found[0]["cosine"].as_f64().unwrap() - 1.0).abs() < 1e-4);
    assert!(found[1].get("text").is_none());
}

/// The probabilities follow from the vectors of `/encode`.
#[test]
fn a_probability_is_the_softmax_of_the_model_s_own_logits() {
    let texts = ["a cat", "a kitten", "a tax report"];
    let inputs: Vec<Value> = texts.iter().map(|text| json!({ "text": text })).collect();
    let answer = SERVER
        .client()
        .post("/encode", &json!({ "inputs": inputs }))
        .expect(200)
        .json();
    let vectors: Vec<Vec<f64>> = serde_json::from_value(answer["vectors"].clone()).unwrap();
    let found = rank(&json!({ "query": inputs[0], "candidates": inputs[1..] }));
    let dot = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(a, b)| a * b).sum::<f64>();
    let cosines = numbers(&found, "cosine");
    assert!((cosines[0] - dot(&vectors[0], &vectors[1])).abs() < 1e-4);
    assert!((cosines[1] - dot(&vectors[0], &vectors[2])).abs() < 1e-4);
    let configuration = include_str!("../../models/clipdb-multilingual/config.json");
    let configuration: Value = serde_json::from_str(configuration).unwrap();
    let scale = configuration["logit_scale"].as_f64().unwrap();
    let odds = (scale * (cosines[1] - cosines[0])).exp();
    let probabilities = numbers(&found, "probability");
    assert!(
        (probabilities[0] - 1.0 / (1.0 + odds)).abs() < 1e-3,
        "{found:?}"
    );
}

#[test]
fn a_truncated_candidate_is_reported() {
    let answer = SERVER
        .client()
        .post(
            "/rank",
            &json!({
                "query": { "text": "long ".repeat(2_000) },
                "candidates": [{ "text": "short" }, { "text": "long ".repeat(2_000) }],
            }),
        )
        .expect(200)
        .json();
    assert_eq!(answer["truncated"], true);
    for candidate in answer["candidates"].as_array().unwrap() {
        let long = candidate["index"] == 1;
        assert_eq!(candidate["truncated"] == true, long, "{candidate}");
    }
}

#[test]
fn wrong_requests_are_refused() {
    let client = SERVER.client();
    let refused =
        |body: Value, status, code| client.post("/rank", &body).expect_problem(status, code);
    let (query, one) = (json!({ "text": "a" }), json!([{ "text": "b" }]));
    refused(json!({ "candidates": one }), 422, "invalid_field");
    refused(json!({ "query": query }), 422, "invalid_field");
    refused(
        json!({ "query": query, "candidates": [] }),
        422,
        "invalid_field",
    );
    refused(
        json!({ "query": {}, "candidates": one }),
        422,
        "invalid_field",
    );
    refused(
        json!({ "query": query, "candidates": [{}] }),
        422,
        "invalid_field",
    );
    refused(
        json!({ "query": query, "candidates": vec![one[0].clone(); 1025] }),
        422,
        "invalid_field",
    );
    refused(
        json!({ "query": query, "candidates": one, "limit": 1 }),
        422,
        "unknown_field",
    );
    refused(
        json!({ "query": query, "candidates": [{ "image": Client::image(b"no picture") }] }),
        422,
        "invalid_image",
    );
    let problem = refused(
        json!({ "query": query, "candidates": one, "model": "another" }),
        422,
        "unknown_model",
    );
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("clipdb-multilingual")
    );
    client
        .get("/rank")
        .expect_problem(405, "method_not_allowed");
}
