//! `/encode`: vectors in order, of length 1, the same as those of stored documents.
#![allow(clippy::unwrap_used, reason = "a test")]

use clipdb_tests::{Client, Server, SharedServer, pictures};
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(Server::start);

fn encode(inputs: &Value) -> Value {
    SERVER
        .client()
        .post("/encode", &json!({ "inputs": inputs }))
        .expect(200)
        .json()
}

fn vectors(answer: &Value) -> Vec<Vec<f64>> {
    serde_json::from_value(answer["vectors"].clone()).unwrap()
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

#[test]
fn vectors_have_length_one_and_the_model_s_dimensions() {
    let answer =
        encode(&json!([{ "text": "a cat" }, { "image": Client::image(&pictures::png(1)) }]));
    assert_eq!(answer["model"], "clipdb-multilingual");
    assert_eq!(answer["dim"], 576);
    for vector in vectors(&answer) {
        assert_eq!(vector.len(), 576);
        assert!((dot(&vector, &vector) - 1.0).abs() < 1e-4);
    }
}

#[test]
fn vectors_are_in_the_order_of_the_inputs() {
    let inputs: Vec<Value> = (0..40)
        .map(|number| match number % 8 {
            0 => json!({ "image": Client::image(&pictures::png(number)) }),
            _ => json!({ "text": format!("input {number} {}", "and more words ".repeat(number as usize % 5)) }),
        })
        .collect();
    let together = vectors(&encode(&json!(inputs)));
    assert_eq!(together.len(), inputs.len());
    for position in [0, 1, 7, 16, 23, 39] {
        let alone = vectors(&encode(&json!([inputs[position]])));
        let cosine = dot(&alone[0], &together[position]);
        assert!(cosine > 0.9999, "input {position}: {cosine}");
    }
}

#[test]
fn a_truncated_text_is_reported() {
    let answer = encode(
        &json!([{ "text": "short" }, { "text": "long ".repeat(2_000) }, { "image": Client::image(&pictures::png(2)) }]),
    );
    assert_eq!(answer["truncated"], json!([false, true, false]));
}

#[test]
fn empty_texts_and_any_language_have_vectors() {
    for text in [
        "",
        " ",
        "🐈‍⬛",
        "猫が好き",
        "naïve café",
        "&amp;&lt;",
        "\u{200b}\u{feff}",
    ] {
        let vector = &vectors(&encode(&json!([{ "text": text }])))[0];
        assert!((dot(vector, vector) - 1.0).abs() < 1e-4, "{text:?}");
    }
}

#[test]
fn similar_meanings_have_similar_vectors() {
    let answer = encode(
        &json!([{ "text": "a dog" }, { "text": "a puppy" }, { "text": "quarterly tax report" }]),
    );
    let found = vectors(&answer);
    assert!(dot(&found[0], &found[1]) > dot(&found[0], &found[2]) + 0.2);
}

#[test]
fn a_wrong_input_refuses_the_whole_request() {
    let client = SERVER.client();
    let refused =
        |body: Value, status, code| client.post("/encode", &body).expect_problem(status, code);
    refused(json!({ "inputs": [] }), 422, "invalid_field");
    refused(json!({ "inputs": [{}] }), 422, "invalid_field");
    refused(
        json!({ "inputs": [{ "text": "a", "image": Client::image(&pictures::png(1)) }] }),
        422,
        "invalid_field",
    );
    refused(
        json!({ "inputs": [{ "image": { "id": "a" } }] }),
        422,
        "invalid_field",
    );
    refused(json!({ "inputs": [{ "txt": "a" }] }), 422, "unknown_field");
    refused(
        json!({ "inputs": [{ "text": "a" }], "model": "another" }),
        422,
        "unknown_model",
    );
    refused(
        json!({ "inputs": [{ "text": "a" }, { "image": Client::image(b"not a picture") }] }),
        422,
        "invalid_image",
    );
    refused(
        json!({ "inputs": vec![json!({ "text": "a" }); 1025] }),
        422,
        "invalid_field",
    );
}
