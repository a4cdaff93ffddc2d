//! Filters over HTTP: in every search mode, in lists and deletions; typed fields.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;

use clipdb_tests::{Client, Collection, Server, Setup, SharedServer, escaped};
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(Server::start);

const ANIMALS: [&str; 5] = ["dog", "cat", "horse", "owl", "whale"];

fn client() -> &'static Client {
    SERVER.client()
}

/// Fifty documents, `d00` to `d49`, in two requests and so in several segments.
fn filled(name: &str) -> Collection<'static> {
    let collection = client().collection(name);
    for half in [0..25usize, 25..50] {
        let documents: Vec<Value> = half
            .map(|n| {
                let animal = ANIMALS[n % ANIMALS.len()];
                json!({
                    "id": format!("d{n:02}"),
                    "text": format!("a {animal} beside house number {n}"),
                    "metadata": {
                        "n": n, "animal": animal, "tags": [animal, format!("t{}", n % 3)],
                        "place": {"city": if n < 10 { "Lyon" } else { "Oslo" }},
                    },
                })
            })
            .collect();
        collection.add(&json!(documents));
    }
    collection
}

fn listed(collection: &Collection<'_>, filter: &Value, page: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = client()
            .get(&collection.path(&format!(
                "/documents?limit={page}&filter={}{cursor}",
                escaped(&filter.to_string())
            )))
            .expect(200)
            .json();
        let documents = answer["documents"].as_array().unwrap();
        ids.extend(
            documents
                .iter()
                .map(|document| document["id"].as_str().unwrap().to_owned()),
        );
        match answer["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

fn ids(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("d{n:02}")).collect()
}

#[test]
fn a_filter_applies_in_every_mode() {
    let collection = filled("modes");
    for (filter, passes) in [
        (json!({"n": {"$gte": 40}}), ids(40..50)),
        (
            json!({"animal": "cat"}),
            ids((0..50).filter(|n| n % 5 == 1)),
        ),
        (
            json!({"tags": {"$in": ["t1", "whale"]}, "place.city": "Lyon"}),
            ids((0..10).filter(|n| n % 3 == 1 || n % 5 == 4)),
        ),
        (json!({"$id": {"$in": ["d03", "d07", "no"]}}), ids([3, 7])),
        (json!({"$image": true}), Vec::new()),
        (json!({"n": 1000}), Vec::new()),
        (json!({}), ids(0..50)),
    ] {
        let expected: BTreeSet<&String> = passes.iter().collect();
        for mode in ["vector", "keyword", "hybrid"] {
            let found = collection.ids(&json!({
                "text": "a house and an animal", "mode": mode, "filter": filter, "limit": 100,
            }));
            let found: BTreeSet<&String> = found.iter().collect();
            assert_eq!(found, expected, "{mode} {filter}");
        }
        assert_eq!(listed(&collection, &filter, 7), passes, "{filter}");
    }
}

#[test]
fn keyword_totals_count_the_matches_of_the_filter() {
    let collection = filled("totals");
    let answer = collection
        .search(&json!({
            "text": "house", "mode": "keyword", "filter": {"animal": {"$ne": "dog"}}, "limit": 3,
        }))
        .expect(200)
        .json();
    assert_eq!(answer["total"], json!({"value": 40, "kind": "exact"}));
    let by_query = client()
        .get(&format!(
            "/search?q=house&collection=totals&mode=keyword&filter={}",
            escaped(r#"{"n":{"$lt":5}}"#)
        ))
        .expect(200)
        .json();
    assert_eq!(by_query["total"]["value"], 5);
}

#[test]
fn matching_documents_are_deleted_and_counted() {
    let collection = filled("deletions");
    let delete = |filter: &str| {
        client().delete(&collection.path(&format!("/documents?filter={}", escaped(filter))))
    };
    client()
        .delete(&collection.path("/documents"))
        .expect_problem(422, "empty_filter");
    delete("").expect_problem(422, "empty_filter");
    for nothing in [
        "{}",
        r#"{"$and":[{}]}"#,
        r#"{"$or":[{"$and":[{}]},{"a":1}]}"#,
    ] {
        delete(nothing).expect_problem(422, "empty_filter");
    }
    delete("{").expect_problem(422, "invalid_field");
    delete(r#"{"n":{"$over":1}}"#).expect_problem(422, "invalid_filter");
    assert_eq!(collection.summary()["documents"], 50);
    assert_eq!(
        delete(r#"{"n":{"$gte":20}}"#).expect(200).json(),
        json!({"deleted": 30})
    );
    assert_eq!(
        delete(r#"{"n":{"$gte":20}}"#).expect(200).json(),
        json!({"deleted": 0})
    );
    assert_eq!(listed(&collection, &json!({}), 100), ids(0..20));
    assert_eq!(collection.summary()["documents"], 20);
    // All documents, by a condition that all of them meet.
    assert_eq!(
        delete(r#"{"$not":{"n":-1}}"#).expect(200).json(),
        json!({"deleted": 20})
    );
    assert_eq!(collection.summary()["documents"], 0);
    assert!(collection.ids(&json!({"text": "house"})).is_empty());
}

#[test]
fn a_cursor_survives_writes() {
    let collection = filled("cursors");
    let filter = escaped(r#"{"animal":"dog"}"#);
    let first = client()
        .get(&collection.path(&format!("/documents?limit=4&filter={filter}")))
        .expect(200)
        .json();
    assert_eq!(first["documents"][3]["id"], "d15");
    // The last document is deleted, one is added before it, one after it is replaced.
    client()
        .delete(&collection.document_path("d15"))
        .expect(204);
    collection.add(&json!({"id": "d01x", "text": "new", "metadata": {"animal": "dog"}}));
    client()
        .patch(
            &collection.document_path("d20"),
            &json!({"metadata": {"seen": true}}),
        )
        .expect(200);
    let cursor = first["cursor"].as_str().unwrap();
    let second = client()
        .get(&collection.path(&format!(
            "/documents?limit=100&filter={filter}&cursor={cursor}"
        )))
        .expect(200)
        .json();
    let rest: Vec<&Value> = second["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|document| &document["id"])
        .collect();
    assert_eq!(json!(rest), json!(ids((20..50).step_by(5))));
}

#[test]
fn an_error_names_its_position() {
    let collection = filled("wrong");
    let problem = collection
        .search(&json!({"text": "a", "filter": {"$or": [{"n": {"$between": [1, 2]}}]}}))
        .expect_problem(422, "invalid_filter");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("$or[0].n.$between") && detail.contains("$gte"),
        "{detail}"
    );
    collection
        .search(&json!({"text": "a", "filter": []}))
        .expect_problem(422, "invalid_filter");
}

#[test]
fn a_typed_field_refuses_other_types() {
    let path = "/collections/typed";
    let definition = json!({"fields": {
        "year": {"type": "integer"}, "taken.at": {"type": "date"}, "where": {"type": "geo"},
    }});
    let made = client().put(path, &definition).expect(201).json();
    assert_eq!(made["fields"], definition["fields"]);
    client().put(path, &definition).expect(200);
    let problem = client()
        .put(path, &json!({"fields": {"year": {"type": "string"}}}))
        .expect_problem(409, "collection_exists");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("'year' string"),
        "{problem}"
    );
    client()
        .put(path, &json!({"fields": {"year": {"type": "decimal"}}}))
        .expect_problem(422, "invalid_field");
    client()
        .put(
            "/collections/other",
            &json!({"fields": {"$id": {"type": "string"}}}),
        )
        .expect_problem(422, "invalid_field");

    let collection = client().existing("typed");
    let answer = client()
        .post(
            &collection.path("/documents"),
            &json!([
                {"id": "good", "text": "a", "metadata": {
                    "year": 2024, "taken": {"at": "2024-05-01T10:00:00+02:00"},
                    "where": {"lat": 45.76, "lon": 4.84}, "free": [1, "x"]}},
                {"id": "bad", "text": "a", "metadata": {"year": "2024"}},
                {"id": "none", "text": "a"},
            ]),
        )
        .expect(200)
        .json();
    assert_eq!(
        (&answer["created"], &answer["failed"]),
        (&json!(2), &json!(1))
    );
    let error = &answer["results"][1]["error"];
    assert_eq!(error["code"], "type_conflict");
    let detail = error["detail"].as_str().unwrap();
    for word in ["'year'", "integer", "\"2024\""] {
        assert!(detail.contains(word), "{detail}");
    }
    client()
        .patch(
            &collection.document_path("good"),
            &json!({"metadata": {"taken": {"at": 5}}}),
        )
        .expect_problem(422, "type_conflict");
    client()
        .patch(
            &collection.document_path("good"),
            &json!({"metadata": {"where": {"lat": 5}}}),
        )
        .expect_problem(422, "type_conflict");

    // 08:00 in UTC.
    let good = |filter: Value| listed(&collection, &filter, 10);
    assert_eq!(
        good(json!({"taken.at": {"$lt": "2024-05-01T08:00:01Z"}})),
        ["good"]
    );
    assert!(good(json!({"taken.at": {"$lt": "2024-05-01T08:00:00Z"}})).is_empty());
    assert_eq!(
        good(json!({"where": {"$geo_radius": {"lat": 45.7, "lon": 4.8, "radius_m": 10000}}})),
        ["good"]
    );
    collection
        .search(&json!({"text": "a", "filter": {"year": {"$gt": "2020"}}}))
        .expect_problem(422, "invalid_filter");
}

#[test]
fn fields_and_filters_survive_a_restart() {
    let server = Server::start();
    let definition = json!({"fields": {"day": {"type": "date"}}});
    server
        .client()
        .put("/collections/kept", &definition)
        .expect(201);
    let document =
        json!({"id": "a", "text": "a", "metadata": {"day": "2024-05-01T23:00:00-03:00"}});
    server.client().existing("kept").add(&document);
    let server = server.kill().start();
    let collection = server.client().existing("kept");
    assert_eq!(collection.summary()["fields"], definition["fields"]);
    let search = json!({"text": "a", "filter": {"day": {"$gte": "2024-05-02"}}});
    assert_eq!(collection.ids(&search), ["a"]);
}

/// A limit of five distinct fields counts those of the stored documents, also after a restart, a
/// replacement, a patch and a deletion.
#[test]
fn the_number_of_fields_is_limited() {
    let setup = Setup::new().flag("--max-fields", "5");
    let server = setup.start();
    server
        .client()
        .put("/collections/c", &json!({"model": "none", "dim": 2}))
        .expect(201);
    let document = |id: &str, metadata: Value| json!({"id": id, "vectors": {"text": [1, 0]}, "metadata": metadata});
    let add = |server: &Server, documents: Value| {
        server
            .client()
            .post("/collections/c/documents", &documents)
            .expect(200)
            .json()
    };
    let answer = add(
        &server,
        json!([
            document("place", json!({"place": {"city": "Lyon"}, "year": 2024})),
            document("two", json!({"a": 1, "b": 2})),
            document("many", json!({"c": 1, "d": 2, "year": 2024})),
            document("known", json!({"place.city": 5, "year": [{"a": 1}]})),
            document("few", json!({"b": "x"})),
        ]),
    );
    // "known" would add "year.a".
    assert_eq!(
        (&answer["created"], &answer["failed"]),
        (&json!(3), &json!(2))
    );
    let error = &answer["results"][2]["error"];
    assert_eq!(
        (&error["code"], &error["status"]),
        (&json!("too_many_fields"), &json!(422))
    );
    let detail = error["detail"].as_str().unwrap();
    for word in [
        "2 new fields",
        "'c', 'd'",
        "5 distinct",
        "max_fields",
        "--max-fields",
    ] {
        assert!(detail.contains(word), "{detail}");
    }
    assert_eq!(answer["results"][3]["error"]["code"], "too_many_fields");

    let server = server.kill().start();
    let client = server.client();
    let refused = |document: Value| {
        client
            .post("/collections/c/documents", &document)
            .expect_problem(422, "too_many_fields");
    };
    refused(document("new", json!({"e": 1})));
    client
        .patch(
            "/collections/c/documents/two",
            &json!({"metadata": {"e": 1}}),
        )
        .expect_problem(422, "too_many_fields");
    client
        .patch(
            "/collections/c/documents/two",
            &json!({"metadata": {"e": 1, "a": null}}),
        )
        .expect(200);
    // "few" keeps "b"; "e" is removed.
    client.delete("/collections/c/documents/two").expect(204);
    refused(document("new", json!({"f": 1, "g": 1})));
    let answer = add(&server, document("new", json!({"f": 1})));
    assert_eq!(answer["created"], 1, "{answer}");

    // Later documents of a request see the fields of earlier ones.
    let server = server.kill().start();
    let answer = add(
        &server,
        json!([
            document("place", json!({"x": 1, "y": 2, "z": 3})),
            document("late", json!({"w": 1})),
            document("place", json!({"x": 1})),
            document("later", json!({"w": 1, "v": 2})),
        ]),
    );
    let codes: Vec<&str> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["error"]["code"].as_str().unwrap_or("stored"))
        .collect();
    assert_eq!(codes, ["stored", "too_many_fields", "stored", "stored"]);
}
