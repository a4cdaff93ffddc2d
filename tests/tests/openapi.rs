//! `openapi.json` describes the API: every operation in it exists, and every operation is in it.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;

use clipdb_tests::{Client, Server, SharedServer};
use reqwest::Method;
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(Server::start);

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

fn client() -> &'static Client {
    SERVER.client()
}

fn description() -> Value {
    client()
        .get("/openapi.json")
        .expect_kind(200, "application/json")
        .json()
}

fn operations(description: &Value) -> Vec<(String, String, Value)> {
    let paths = description["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().unwrap();
        let known = item
            .iter()
            .filter(|(method, _)| METHODS.contains(&method.as_str()));
        known.map(|(method, operation)| (path.clone(), method.clone(), operation.clone()))
    });
    all.collect()
}

#[test]
fn it_is_openapi_3_1_with_valid_references() {
    let description = description();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(description["info"]["version"].is_string() && description["info"]["title"].is_string());
    let mut references = Vec::new();
    collect_references(&description, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference
            .strip_prefix('#')
            .unwrap_or_else(|| panic!("{reference} leads elsewhere"));
        assert!(
            description.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&description) {
        let responses = operation["responses"]
            .as_object()
            .unwrap_or_else(|| panic!("{method} {path} has no responses"));
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{method} {path}"
        );
        assert!(
            operation["summary"].is_string() || operation["description"].is_string(),
            "{method} {path}"
        );
        if let Some(id) = operation["operationId"].as_str() {
            assert!(ids.insert(id.to_owned()), "'{id}' is there twice");
        }
    }
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.push(reference.clone());
            }
            fields
                .values()
                .for_each(|field| collect_references(field, found));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

#[test]
fn every_described_operation_exists() {
    client().collection("described");
    for (path, method, _) in operations(&description()) {
        let concrete = path
            .replace("{name}", "described")
            .replace("{id}", "absent");
        assert!(
            !concrete.contains('{'),
            "{path} has a parameter that this test does not know"
        );
        let verb = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let answer = client().send(verb, &concrete, None, "");
        let missing = answer.status == 405
            || (answer.status == 404
                && !answer.body.is_empty()
                && answer.json()["code"] == "no_such_route");
        assert!(!missing, "{method} {path}: {answer:?}");
        client().collection("described");
    }
}

#[test]
fn every_existing_operation_is_described() {
    let named: BTreeSet<(String, String)> = operations(&description())
        .into_iter()
        .map(|(path, method, _)| (method, path))
        .collect();
    for (method, path) in [
        ("get", "/health"),
        ("get", "/ready"),
        ("get", "/metrics"),
        ("get", "/openapi.json"),
        ("get", "/collections"),
        ("put", "/collections/{name}"),
        ("get", "/collections/{name}"),
        ("delete", "/collections/{name}"),
        ("get", "/collections/{name}/check"),
        ("post", "/collections/{name}/snapshots"),
        ("get", "/collections/{name}/snapshots"),
        ("get", "/collections/{name}/snapshots/{id}"),
        ("delete", "/collections/{name}/snapshots/{id}"),
        ("post", "/collections/{name}/restore"),
        ("get", "/tasks"),
        ("get", "/tasks/{id}"),
        ("delete", "/tasks/{id}"),
        ("post", "/documents"),
        ("post", "/collections/{name}/documents"),
        ("get", "/collections/{name}/documents"),
        ("get", "/collections/{name}/documents/{id}"),
        ("put", "/collections/{name}/documents/{id}"),
        ("patch", "/collections/{name}/documents/{id}"),
        ("delete", "/collections/{name}/documents/{id}"),
        ("get", "/collections/{name}/documents/{id}/image"),
        ("get", "/search"),
        ("post", "/search"),
        ("post", "/collections/{name}/search"),
        ("post", "/encode"),
        ("post", "/rank"),
        ("post", "/v1/embeddings"),
        ("get", "/v1/models"),
        ("get", "/v1/models/{id}"),
        ("post", "/post"),
        ("post", "/index"),
        ("get", "/dry_run"),
    ] {
        assert!(
            named.contains(&(method.to_owned(), path.to_owned())),
            "{method} {path} is not described"
        );
    }
}

#[test]
fn the_described_search_fields_are_the_accepted_ones() {
    let description = description();
    let body = &description["paths"]["/collections/{name}/search"]["post"]["requestBody"]["content"]
        ["application/json"]["schema"];
    let schema = match body["$ref"].as_str() {
        Some(reference) => description.pointer(&reference[1..]).unwrap(),
        None => body,
    };
    let fields = schema["properties"].as_object().unwrap();
    client().collection("described");
    for field in fields.keys() {
        let answer = client().post(
            "/collections/described/search",
            &json!({ field: null, "text": "a" }),
        );
        let unknown = answer.status == 422 && answer.json()["code"] == "unknown_field";
        assert!(!unknown, "'{field}' is described and not taken: {answer:?}");
    }
    let answer = client()
        .post("/collections/described/search", &json!({ "no_field": 1 }))
        .expect_problem(422, "unknown_field");
    for expected in answer["detail"]
        .as_str()
        .unwrap()
        .split('`')
        .skip(3)
        .step_by(2)
    {
        assert!(
            fields.contains_key(expected),
            "'{expected}' is taken and not described"
        );
    }
}
