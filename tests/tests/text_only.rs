//! A server with a text-only model: texts are stored and found, and only an image is refused,
//! wherever it is sent.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;

use clipdb_tests::{Client, Setup, SharedServer, pictures};
use serde_json::json;

static SERVER: SharedServer = SharedServer::new(|| {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../embed/parity/golden/sentence-xlm-roberta");
    Setup::new()
        .flag("--model", folder.to_str().unwrap())
        .start()
});

const CODE: &str = "model_without_images";

#[test]
fn only_the_image_of_a_batch_fails() {
    let client = SERVER.client();
    let collection = client.collection("mixed");
    let image = Client::image(&pictures::png(1));
    let documents = json!([
        { "id": "words", "text": "two dogs in the snow" },
        { "id": "picture", "image": image },
        { "id": "both", "text": "a cat", "image": image },
    ]);
    let answer = client.post(&collection.path("/documents"), &documents);
    let answer = answer.expect(200).json();
    assert_eq!(
        (&answer["created"], &answer["failed"]),
        (&json!(1), &json!(2))
    );
    for failed in [1, 2] {
        let error = &answer["results"][failed]["error"];
        assert_eq!(error["code"], CODE, "{answer}");
    }
    assert_eq!(
        collection.ids(&json!({ "text": "dogs in snow" })),
        ["words"]
    );
    let vector = json!({ "text": "dogs in snow", "mode": "vector" });
    assert_eq!(collection.ids(&vector), ["words"]);
}

#[test]
fn a_search_by_image_is_refused() {
    let collection = SERVER.client().collection("searched");
    collection.add(&json!({ "id": "words", "text": "two dogs in the snow" }));
    let picture = json!({ "image": Client::image(&pictures::png(2)) });
    collection.search(&picture).expect_problem(422, CODE);
    let texts_alone = json!({ "text": "dogs", "targets": ["text"] });
    assert_eq!(collection.ids(&texts_alone), ["words"]);
}

#[test]
fn encode_accepts_only_texts() {
    let client = SERVER.client();
    let text = json!({ "inputs": [{ "text": "a cat" }] });
    let answer = client.post("/encode", &text).expect(200).json();
    assert_eq!(answer["dim"], 48);
    let picture = json!({ "inputs": [{ "image": Client::image(&pictures::png(3)) }] });
    client.post("/encode", &picture).expect_problem(422, CODE);
}

/// The model has one prefix for queries and another for documents.
#[test]
fn rank_uses_the_prefixes_of_a_search() {
    let client = SERVER.client();
    let texts = ["two dogs in the snow", "a cat", "a report of taxes"];
    let collection = client.collection("ranked");
    for text in texts {
        collection.add(&json!({ "id": text, "text": text }));
    }
    let hits = collection.hits(&json!({ "text": "dogs", "mode": "vector" }));
    let candidates = texts.map(|text| json!({ "text": text }));
    let ranked = json!({ "query": { "text": "dogs" }, "candidates": candidates });
    let ranked = client.post("/rank", &ranked).expect(200).json();
    for (hit, candidate) in hits.iter().zip(ranked["candidates"].as_array().unwrap()) {
        assert_eq!(hit["id"], candidate["text"]);
        let (score, cosine) = (&hit["score"], &candidate["cosine"]);
        assert!((score.as_f64().unwrap() - cosine.as_f64().unwrap()).abs() < 1e-3);
    }
    assert_eq!(hits.len(), texts.len());

    let picture = json!({ "image": Client::image(&pictures::png(4)) });
    let body = json!({ "query": picture, "candidates": [{ "text": "a" }] });
    client.post("/rank", &body).expect_problem(422, CODE);
    let model = client.get("/v1/models").expect(200).json()["data"][0].take();
    assert!(model["image_size"].is_null(), "{model}");
}
