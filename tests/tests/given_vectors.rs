//! Collections with an index configuration, and documents with given vectors.
#![allow(clippy::unwrap_used, reason = "a test")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clipdb_tests::{Client, Server, SharedServer, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(Server::start);

fn client() -> &'static Client {
    SERVER.client()
}

fn create(name: &str, body: Value) -> String {
    let path = format!("/collections/{name}");
    client().put(&path, &body).expect(201);
    path
}

/// A vector of four dimensions in the direction `at` on a circle, with its own length.
fn pointing(at: f32) -> Vec<f32> {
    vec![3.0 * at.cos(), 3.0 * at.sin(), 0.0, 0.5]
}

fn base64_of(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

fn ids(answer: &Value) -> Vec<&str> {
    let hits = answer["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["id"].as_str().unwrap()).collect()
}

/// The ids of all pages of a search. `step` derives the request for the next page from a response.
fn pages(path: &str, search: &Value, step: impl Fn(&Value, usize) -> Option<Value>) -> Vec<String> {
    let (mut found, mut next) = (Vec::new(), json!({}));
    loop {
        let mut body = search.clone();
        body.as_object_mut()
            .unwrap()
            .extend(next.as_object().unwrap().clone());
        let answer = client()
            .post(&format!("{path}/search"), &body)
            .expect(200)
            .json();
        found.extend(ids(&answer).into_iter().map(str::to_owned));
        match step(&answer, found.len()) {
            Some(asked) => next = asked,
            None => return found,
        }
    }
}

#[test]
fn pages_of_images_and_texts_form_one_list() {
    let path = create("two-kinds", json!({"model": "none", "dim": 4}));
    let documents: Vec<Value> = (0..400)
        .map(|n| {
            let vectors = match n % 3 {
                0 => json!({"image": pointing(n as f32 * 0.7)}),
                1 => json!({"text": pointing(n as f32 * 1.3)}),
                _ => json!({"image": pointing(n as f32 * 0.4), "text": pointing(n as f32)}),
            };
            json!({"id": format!("d{n}"), "vectors": vectors})
        })
        .collect();
    client()
        .post(&format!("{path}/documents"), &json!(documents))
        .expect(200);
    for method in ["rrf", "linear"] {
        let search = json!({"vector": pointing(0.3), "fusion": {"method": method}, "limit": 10});
        let by_cursor = pages(&path, &search, |answer, _| {
            let next = answer.get("next_cursor")?;
            Some(json!({"cursor": next}))
        });
        let by_offset = pages(&path, &search, |answer, seen| {
            (!ids(answer).is_empty()).then(|| json!({"offset": seen}))
        });
        let mut all = search.clone();
        all["limit"] = json!(1000);
        let all = pages(&path, &all, |_, _| None);
        assert_eq!(all.len(), 400, "{method}");
        assert_eq!(by_cursor, all, "{method}");
        assert_eq!(by_offset, all, "{method}");
    }
}

#[test]
fn an_index_configuration_is_stored_shown_and_immutable() {
    let body = json!({
        "model": "none", "dim": 4, "index": {"kind": "hnsw", "m": 8, "ef": 40, "seal_at": 32}
    });
    let path = create("configured", body.clone());
    let shown = client().get(&path).expect(200).json();
    assert_eq!(
        (&shown["model"], &shown["dim"]),
        (&json!("none"), &json!(4))
    );
    let index = &shown["index"];
    assert_eq!(
        (
            &index["kind"],
            &index["m"],
            &index["ef"],
            &index["seal_at"],
            &index["image"]["built_as"]
        ),
        (
            &json!("hnsw"),
            &json!(8),
            &json!(40),
            &json!(32),
            &json!("hnsw")
        )
    );
    client().put(&path, &body).expect(200);
    for other in [
        json!({"model": "none", "dim": 4}),
        json!({"model": "none", "dim": 5, "index": {"kind": "hnsw", "m": 8, "ef": 40}}),
        json!({"model": "none", "dim": 4, "index": {"kind": "hnsw", "m": 8, "ef": 40}}),
        json!({"model": "none", "dim": 4, "index": {"kind": "hnsw", "m": 9, "ef": 40, "seal_at": 32}}),
        json!({}),
    ] {
        client()
            .put(&path, &other)
            .expect_problem(409, "collection_exists");
    }
    let picked = create("picked", json!({"model": "none", "dim": 4}));
    let shown = client().get(&picked).expect(200).json();
    assert_eq!(
        (&shown["index"]["kind"], &shown["index"]["text"]["built_as"]),
        (&json!("auto"), &json!("flat"))
    );
    assert_eq!(shown["index"]["seal_at"], 16_384);
}

#[test]
fn a_full_segment_is_written_to_disk() {
    let path = create(
        "sealed",
        json!({"model": "none", "dim": 4, "index": {"seal_at": 32}}),
    );
    let documents: Vec<Value> = (0..40u8)
        .map(|at| json!({"vectors": {"text": pointing(f32::from(at) * 0.1)}}))
        .collect();
    client()
        .post(&format!("{path}/documents"), &json!(documents))
        .expect(200);
    assert!(wait_until(|| {
        let index = client().get(&path).expect(200).json()["index"].clone();
        let segments = index["text"]["segments"].as_array().unwrap();
        segments.iter().any(|segment| segment["stored"] == true)
    }));
}

#[test]
fn invalid_configurations_are_refused_with_reasons() {
    for (body, code, message) in [
        (json!({"model": "none"}), "invalid_field", "needs 'dim'"),
        (json!({"dim": 3}), "invalid_field", "gives vectors of 576"),
        (
            json!({"model": "none", "dim": 4, "index": {"kind": "hnsw", "m": 1}}),
            "invalid_field",
            "'index.m' is 1",
        ),
        (
            json!({"model": "none", "dim": 4, "index": {"seal_at": 2}}),
            "invalid_field",
            "'index.seal_at' is 2",
        ),
        (
            json!({"model": "none", "dim": 10, "index": {"kind": "ivf_pq", "pq_m": 4}}),
            "invalid_field",
            "twice as much must divide the 10",
        ),
        (
            json!({"model": "none", "dim": 4, "index": {"links": 4}}),
            "unknown_field",
            "links",
        ),
    ] {
        let problem = client()
            .put("/collections/refused", &body)
            .expect_problem(422, code);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(message), "{detail}");
    }
    client()
        .get("/collections/refused")
        .expect_problem(404, "collection_not_found");
}

#[test]
fn documents_are_found_by_given_vectors_in_both_encodings() {
    let path = create("given", json!({"model": "none", "dim": 4}));
    let lines: Vec<String> = (0..40u8)
        .map(|at| {
            let vector = pointing(f32::from(at) * 0.1);
            let vector = if at % 2 == 0 {
                json!(vector)
            } else {
                json!(base64_of(&vector))
            };
            json!({"id": format!("v{at}"), "vectors": {"image": vector}, "metadata": {"at": at}})
                .to_string()
        })
        .collect();
    let answer = client()
        .send(
            Method::POST,
            &format!("{path}/documents"),
            Some("application/x-ndjson"),
            lines.join("\n"),
        )
        .expect(200)
        .json();
    assert_eq!(answer["created"], 40, "{answer}");
    for query in [json!(pointing(1.2)), json!(base64_of(&pointing(1.2)))] {
        let search = json!({"vector": query, "limit": 3, "with_vectors": true});
        let answer = client()
            .post(&format!("{path}/search"), &search)
            .expect(200)
            .json();
        assert_eq!(ids(&answer)[0], "v12");
        let score = answer["hits"][0]["score"].as_f64().unwrap();
        assert!((score - 1.0).abs() < 1e-5, "{score}");
        let stored = answer["hits"][0]["vectors"]["image"].as_array().unwrap();
        let length: f64 = stored.iter().map(|x| x.as_f64().unwrap().powi(2)).sum();
        assert!((length - 1.0).abs() < 1e-5, "{stored:?}");
    }
    for how in [
        json!({"exact": true}),
        json!({"ef": 7}),
        json!({"nprobe": 2}),
    ] {
        let mut search = json!({"vector": pointing(0.5), "limit": 1});
        search
            .as_object_mut()
            .unwrap()
            .extend(how.as_object().unwrap().clone());
        let answer = client()
            .post(&format!("{path}/search"), &search)
            .expect(200)
            .json();
        assert_eq!(ids(&answer), ["v5"]);
    }
    let metadata = client()
        .patch(
            &format!("{path}/documents/v3"),
            &json!({"metadata": {"seen": true}}),
        )
        .expect(200)
        .json();
    assert_eq!(metadata["metadata"]["seen"], true);
    let recall = client()
        .get(&format!("{path}/recall?k=5&queries=20"))
        .expect(200)
        .json();
    assert_eq!(recall["image"]["recall"], 1.0, "{recall}");
    assert_eq!(recall["image"]["queries"], 20);
    assert!(recall.get("text").is_none());
    client().delete(&format!("{path}/documents/v7")).expect(204);
    client()
        .post(&format!("{path}/compact"), &json!({}))
        .expect(202);
    assert!(wait_until(|| {
        client().get(&path).expect(200).json()["index"]["building"] == false
    }));
    let index = client().get(&path).expect(200).json()["index"].clone();
    let segments = index["image"]["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 1, "{index}");
    assert_eq!(
        (&segments[0]["vectors"], &segments[0]["removed"]),
        (&json!(39), &json!(0))
    );
}

#[test]
fn a_collection_without_a_model_reports_its_limits() {
    let path = create("bare-vectors", json!({"model": "none", "dim": 4}));
    let add = |document: Value| client().post(&format!("{path}/documents"), &document);
    add(json!({"id": "a", "text": "a heron by the pond", "vectors": {"image": pointing(0.3)}}))
        .expect(200);
    add(json!({"text": "words alone"})).expect_problem(422, "collection_without_model");
    add(json!({"vectors": {"image": [1, 2]}})).expect_problem(422, "wrong_dimension");
    add(json!({"vectors": {"image": [0, 0, 0, 0]}})).expect_problem(422, "no_direction");
    add(json!({"vectors": {"sound": [1, 0, 0, 0]}})).expect_problem(422, "unknown_field");
    add(json!({"vectors": {}})).expect_problem(422, "empty_document");
    add(json!({"metadata": {"a": 1}})).expect_problem(422, "empty_document");
    let search = |body: Value| client().post(&format!("{path}/search"), &body);
    search(json!({"text": "a heron"})).expect_problem(422, "collection_without_model");
    let answer = search(json!({"text": "heron", "mode": "keyword"}))
        .expect(200)
        .json();
    assert_eq!(ids(&answer), ["a"]);
    search(json!({"vector": pointing(0.3), "ef": 0})).expect_problem(422, "invalid_field");
}

#[test]
fn a_given_vector_replaces_the_encoded_one() {
    let name = "/collections/mixed-vectors";
    client().put(name, &json!({})).expect(201);
    let mut vector = vec![0.0f32; 576];
    vector[7] = 2.0;
    let document =
        json!({"id": "x", "text": "a text that is not read", "vectors": {"text": vector}});
    client()
        .post(&format!("{name}/documents"), &document)
        .expect(200);
    let search = json!({"vector": vector, "with_vectors": true});
    let answer = client()
        .post(&format!("{name}/search"), &search)
        .expect(200)
        .json();
    assert_eq!(answer["hits"][0]["vectors"]["text"][7], 1.0, "{answer}");
}
