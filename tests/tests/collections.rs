//! Collections: create, create again, refuse, list, drop.
#![allow(clippy::unwrap_used, reason = "a test")]

use clipdb_tests::{Client, Server, SharedServer};
use reqwest::Method;
use serde_json::json;

static SERVER: SharedServer = SharedServer::new(Server::start);

fn client() -> &'static Client {
    SERVER.client()
}

#[test]
fn creating_twice_changes_nothing_and_another_definition_is_a_conflict() {
    let path = "/collections/twice";
    let first = client()
        .put(path, &json!({ "model": "clipdb-multilingual" }))
        .expect(201)
        .json();
    assert_eq!(first["name"], "twice");
    assert_eq!(first["model"], "clipdb-multilingual");
    assert_eq!(first["documents"], 0);
    assert_eq!(first["dim"], 576);
    let second = client()
        .put(path, &json!({ "model": "clipdb-multilingual" }))
        .expect(200)
        .json();
    assert_eq!(first, second);
    client().put(path, &json!({})).expect(200);
    client()
        .put(path, &json!({ "model": "another" }))
        .expect_problem(422, "unknown_model");
    assert_eq!(client().get(path).expect(200).json(), first);
}

#[test]
fn an_empty_body_uses_the_defaults() {
    let answer = client()
        .send(Method::PUT, "/collections/bare", None, "")
        .expect(201)
        .json();
    assert_eq!(answer["model"], "clipdb-multilingual");
}

#[test]
fn an_unknown_collection_is_404_with_its_name() {
    for path in [
        "/collections/absent",
        "/collections/absent/documents",
        "/collections/absent/documents/a",
    ] {
        let problem = client()
            .get(path)
            .expect_problem(404, "collection_not_found");
        assert!(
            problem["detail"].as_str().unwrap().contains("'absent'"),
            "{problem}"
        );
    }
    client()
        .delete("/collections/absent")
        .expect_problem(404, "collection_not_found");
    client()
        .post("/collections/absent/documents", &json!({ "text": "a" }))
        .expect_problem(404, "collection_not_found");
    client()
        .post("/collections/absent/search", &json!({ "text": "a" }))
        .expect_problem(404, "collection_not_found");
}

#[test]
fn the_first_document_creates_the_default_collection() {
    client()
        .get("/collections/default")
        .expect_problem(404, "collection_not_found");
    client()
        .post("/search", &json!({ "text": "a" }))
        .expect_problem(404, "collection_not_found");
    let answer = client()
        .post(
            "/documents",
            &json!({ "id": "first", "text": "the first of all" }),
        )
        .expect(200)
        .json();
    assert_eq!(answer["created"], 1);
    assert_eq!(
        client().get("/collections/default").expect(200).json()["documents"],
        1
    );
    let hits = client()
        .post("/search", &json!({ "text": "first" }))
        .expect(200)
        .json();
    assert_eq!(hits["hits"][0]["id"], "first");
    let hits = client()
        .get("/search?q=first&limit=1&mode=keyword")
        .expect(200)
        .json();
    assert_eq!(hits["hits"][0]["id"], "first");
}

#[test]
fn a_recreated_collection_is_empty() {
    let collection = client().collection("dropped");
    collection.add(&json!({ "id": "old", "text": "a lighthouse in a storm" }));
    client().delete("/collections/dropped").expect(204);
    client()
        .get("/collections/dropped")
        .expect_problem(404, "collection_not_found");

    let collection = client().collection("dropped");
    assert_eq!(collection.summary()["documents"], 0);
    collection
        .document("old")
        .expect_problem(404, "document_not_found");
    assert!(
        collection
            .hits(&json!({ "text": "a lighthouse in a storm" }))
            .is_empty()
    );
    collection.add(&json!({ "id": "new", "text": "a lighthouse at noon" }));
    assert_eq!(collection.ids(&json!({ "text": "lighthouse" })), ["new"]);
}

#[test]
fn the_list_counts_documents_images_and_texts() {
    let collection = client().collection("counted");
    let picture = Client::image(&clipdb_tests::pictures::png(1));
    collection.add(&json!([
        { "id": "a", "text": "a text" },
        { "id": "b", "image": picture },
        { "id": "c", "text": "both", "image": picture },
    ]));
    let listed = client().get("/collections").expect(200).json();
    let listed = listed["collections"].as_array().unwrap();
    let counted = listed.iter().find(|one| one["name"] == "counted").unwrap();
    assert_eq!(
        (&counted["documents"], &counted["images"], &counted["texts"]),
        (&json!(3), &json!(2), &json!(2))
    );
}

#[test]
fn names_and_fields_are_checked() {
    for name in ["a%20b", "%2e%2e%2fetc", ".hidden", &"x".repeat(300)] {
        let answer = client().put(&format!("/collections/{name}"), &json!({}));
        answer.expect_problem(422, "invalid_collection_name");
    }
    let problem = client()
        .put("/collections/fields", &json!({ "modle": "x" }))
        .expect_problem(422, "unknown_field");
    assert!(
        problem["detail"].as_str().unwrap().contains("modle"),
        "{problem}"
    );
    client()
        .get("/collections/fields")
        .expect_problem(404, "collection_not_found");
}

#[test]
fn a_collection_configures_its_text_analysis() {
    let path = "/collections/languages";
    let definition = json!({
        "analyzer": "german",
        "fields": {
            "title": { "type": "string", "boost": 3 },
            "sku": { "type": "string", "analyzer": "exact" },
            "note": { "type": "string", "analyzer": "chinese" },
        },
    });
    let made = client().put(path, &definition).expect(201).json();
    assert_eq!(made["analyzer"], "german");
    assert_eq!(made["fields"]["sku"], definition["fields"]["sku"]);
    client().put(path, &definition).expect(200);
    let problem = client()
        .put(path, &json!({ "analyzer": "french" }))
        .expect_problem(409, "collection_exists");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("'german'") && detail.contains("'french'"),
        "{detail}"
    );
    let mut other = definition.clone();
    other["fields"]["title"]["boost"] = json!(4);
    client()
        .put(path, &other)
        .expect_problem(409, "collection_exists");

    let collection = client().existing("languages");
    collection.add(&json!([
        { "id": "a", "text": "Alte Häuser am Fluss", "metadata": { "title": "Garten", "sku": "AB-1234" } },
        { "id": "b", "text": "Der Garten", "metadata": { "title": "Ein Haus", "sku": "AB-12345", "note": "我喜歡土豆" } },
    ]));
    let find = |words: &str| collection.ids(&json!({ "keywords": words }));
    assert_eq!(find("Haus"), ["b", "a"], "the title counts for more");
    assert_eq!(find("Gärten"), ["a", "b"]);
    assert_eq!(find("+sku:ab-1234"), ["a"]);
    assert_eq!(find("土豆"), ["b"]);
    let hits = collection.hits(&json!({ "keywords": "haus", "highlight": true }));
    assert_eq!(
        hits[0]["highlights"],
        json!({ "metadata.title": ["Ein <mark>Haus</mark>"] })
    );
}

#[test]
fn invalid_text_configurations_are_refused() {
    for (definition, named) in [
        (json!({ "analyzer": "klingon" }), "klingon"),
        (
            json!({ "fields": { "title": { "type": "string", "analyzer": "klingon" } } }),
            "swedish",
        ),
        (
            json!({ "fields": { "year": { "type": "integer", "analyzer": "exact" } } }),
            "'year'",
        ),
        (
            json!({ "fields": { "title": { "type": "string", "boost": 0 } } }),
            "'boost'",
        ),
    ] {
        let problem = client()
            .put("/collections/wrong", &definition)
            .expect_problem(422, "invalid_field");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(named), "{detail}");
    }
    client().get("/collections/wrong").expect(404);
}
