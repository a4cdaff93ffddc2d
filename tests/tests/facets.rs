//! Totals, facets, order, groups and pages of one result.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::HashSet;

use clipdb_tests::{Client, Collection, Server, SharedServer};
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(Server::start);

const ANIMALS: [&str; 5] = ["dog", "cat", "horse", "owl", "whale"];
const COUNT: usize = 60;

fn client() -> &'static Client {
    SERVER.client()
}

/// `d00` to `d59`. All have a `kind`, the first forty a `year`.
fn filled(name: &str) -> Collection<'static> {
    let collection = client().collection(name);
    for third in [0..20usize, 20..40, 40..COUNT] {
        let documents: Vec<Value> = third
            .map(|n| {
                let kind = ANIMALS[n % ANIMALS.len()];
                let mut metadata = json!({
                    "kind": kind, "n": n, "tags": [kind, "animal"], "more": {"deep": n},
                    "place": {"lat": 45.0, "lon": n as f64 / 10.0},
                });
                if n < 40 {
                    metadata["year"] = json!(2000 + n % 4);
                }
                json!({"id": format!("d{n:02}"), "text": format!("a {kind} in field {n}"), "metadata": metadata})
            })
            .collect();
        collection.add(&json!(documents));
    }
    collection
}

fn answer(collection: &Collection<'_>, search: &Value) -> Value {
    collection.search(search).expect(200).json()
}

fn ids(answer: &Value) -> Vec<String> {
    let hits = answer["hits"].as_array().unwrap();
    hits.iter()
        .map(|hit| hit["id"].as_str().unwrap().to_owned())
        .collect()
}

fn sum(facet: &Value) -> u64 {
    let values = facet.as_array().unwrap();
    values.iter().map(|v| v["count"].as_u64().unwrap()).sum()
}

fn with(search: &Value, more: Value) -> Value {
    let mut search = search.as_object().unwrap().clone();
    search.extend(more.as_object().unwrap().clone());
    Value::Object(search)
}

#[test]
fn facets_and_totals_agree_in_every_mode_and_on_every_page() {
    let collection = filled("counted");
    let filter = json!({"kind": {"$ne": "owl"}});
    for (search, value, kind) in [
        (json!({"text": "a dog", "mode": "vector"}), 60, "exact"),
        (
            json!({"text": "a dog", "mode": "vector", "filter": filter}),
            48,
            "exact",
        ),
        (json!({"text": "dog", "mode": "keyword"}), 12, "exact"),
        (
            json!({"text": "dog owl", "mode": "keyword", "filter": filter}),
            12,
            "exact",
        ),
        // The candidate lists contain all documents.
        (json!({"text": "a dog", "mode": "hybrid"}), 60, "exact"),
        (
            json!({"text": "a dog", "mode": "hybrid", "filter": filter}),
            48,
            "exact",
        ),
        (json!({"filter": filter}), 48, "exact"),
        (json!({"filter": {}}), 60, "exact"),
        (json!({"text": "zeppelin", "mode": "keyword"}), 0, "exact"),
    ] {
        let total = json!({"value": value, "kind": kind});
        assert_eq!(answer(&collection, &search)["total"], total, "{search}");
        for page in [
            json!({"limit": 5}),
            json!({"limit": 5, "offset": 5}),
            json!({"limit": 100}),
            json!({"limit": 5, "offset": 1000}),
            json!({"limit": 5, "sort": "-n"}),
            json!({"limit": 5, "group_by": "kind"}),
        ] {
            let search = with(&search, with(&page, json!({"facets": ["kind", "tags"]})));
            let answer = answer(&collection, &search);
            assert_eq!(answer["total"], total, "{search}");
            assert_eq!(sum(&answer["facets"]["kind"]), value, "{search}");
            assert_eq!(sum(&answer["facets"]["tags"]), 2 * value, "{search}");
        }
    }
}

#[test]
fn a_minimum_score_among_the_candidates_gives_an_exact_total() {
    let collection = filled("least");
    let all = answer(
        &collection,
        &json!({"text": "a dog", "mode": "vector", "limit": 100}),
    );
    let least = all["hits"][19]["score"].as_f64().unwrap();
    let search = json!({
        "text": "a dog", "mode": "vector", "min_score": least - 1e-6, "limit": 5, "facets": ["kind"],
    });
    let few = answer(&collection, &search);
    let expected = all["hits"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|hit| hit["score"].as_f64().unwrap() >= least - 1e-6)
        .count();
    assert_eq!(few["total"], json!({"value": expected, "kind": "exact"}));
    assert_eq!(sum(&few["facets"]["kind"]), expected as u64);
    let keyword = answer(
        &collection,
        &json!({"text": "dog field", "mode": "keyword", "min_score": 1.0, "limit": 3}),
    );
    assert_eq!(keyword["total"], json!({"value": 12, "kind": "exact"}));
}

#[test]
fn a_total_limited_by_the_candidates_has_another_kind() {
    let collection = client().collection("many");
    for part in 0..4 {
        let documents: Vec<Value> = (0..300)
            .map(|n| {
                let n = part * 300 + n;
                json!({"text": format!("house number {n}"), "metadata": {"half": n % 2}})
            })
            .collect();
        collection.add(&json!(documents));
    }
    for (search, kind) in [
        (json!({"text": "house", "mode": "hybrid"}), "top"),
        (
            json!({"text": "house", "mode": "vector", "min_score": -1.0}),
            "at_least",
        ),
    ] {
        let mut totals = Vec::new();
        for page in [
            json!({"limit": 1}),
            json!({"limit": 10, "offset": 900}),
            json!({"sort": "half"}),
        ] {
            let search = with(&search, with(&page, json!({"facets": ["half"]})));
            let answer = answer(&collection, &search);
            assert_eq!(answer["total"]["kind"], kind, "{search}");
            assert_eq!(
                json!(sum(&answer["facets"]["half"])),
                answer["total"]["value"]
            );
            totals.push(answer["total"]["value"].as_u64().unwrap());
        }
        assert!(
            totals[0] >= 1000 && totals.iter().all(|t| *t == totals[0]),
            "{totals:?}"
        );
        // The hits end with the candidates.
        let hits = collection.hits(&with(&search, json!({"offset": totals[0], "limit": 10})));
        assert!(hits.is_empty());
    }
    let all = answer(
        &collection,
        &json!({"text": "house", "mode": "vector", "offset": 1195, "limit": 10}),
    );
    assert_eq!(all["total"], json!({"value": 1200, "kind": "exact"}));
    assert_eq!(all["hits"].as_array().unwrap().len(), 5);
}

#[test]
fn facets_are_sorted_and_limited_and_have_a_range() {
    let collection = filled("shapes");
    let years: Vec<Value> = (2000..2004)
        .map(|year| json!({"value": year, "count": 10}))
        .collect();
    let answer = answer(
        &collection,
        &json!({"facets": ["year", {"field": "kind", "limit": 2}, "nothing"], "filter": {"n": {"$lt": 40}}}),
    );
    assert_eq!(
        answer["facets"],
        json!({
            "year": years,
            "kind": [{"value": "cat", "count": 8}, {"value": "dog", "count": 8}],
            "nothing": [],
        })
    );
    assert_eq!(
        answer["facet_stats"],
        json!({"year": {"min": 2000, "max": 2003}})
    );
    for wrong in [
        json!({"facets": [5]}),
        json!({"facets": [{"field": "a", "limit": 0}]}),
        json!({"facets": [["a", 3]]}),
    ] {
        collection
            .search(&wrong)
            .expect_problem(422, "invalid_field");
    }
    let unknown = collection.search(&json!({"facets": [{"name": "a"}]}));
    let problem = unknown.expect_problem(422, "unknown_field");
    assert!(
        problem["detail"].as_str().unwrap().contains("`name`"),
        "{problem}"
    );
}

#[test]
fn hits_are_sorted_by_fields() {
    let collection = filled("sorted");
    let first = |search: Value| ids(&answer(&collection, &with(&search, json!({"limit": 3}))));
    assert_eq!(first(json!({"sort": "-n"})), ["d59", "d58", "d57"]);
    assert_eq!(first(json!({"sort": "n"})), ["d00", "d01", "d02"]);
    assert_eq!(
        first(json!({"sort": [{"year": "desc"}, {"n": "desc"}]})),
        ["d39", "d35", "d31"]
    );
    assert_eq!(
        first(json!({"sort": "-$id", "filter": {"kind": "cat"}})),
        ["d56", "d51", "d46"]
    );
    for mode in ["keyword", "vector", "hybrid"] {
        let search = json!({"text": "cat", "mode": mode, "sort": "-n", "filter": {"kind": "cat"}});
        assert_eq!(first(search), ["d56", "d51", "d46"], "{mode}");
    }
    // Documents without a year are last in both directions.
    for sort in ["year", "-year"] {
        let all = ids(&answer(&collection, &json!({"sort": sort, "limit": 100})));
        assert_eq!(all.len(), COUNT);
        assert!(
            all[40..].iter().all(|id| id.as_str() >= "d40"),
            "{sort}: {all:?}"
        );
    }
    let near = answer(
        &collection,
        &json!({"sort": {"place": {"$near": {"lat": 45.0, "lon": 2.04}}}, "limit": 3}),
    );
    assert_eq!(ids(&near), ["d20", "d21", "d19"]);
    assert!((near["hits"][0]["distance_m"].as_f64().unwrap() - 3_145.0).abs() < 5.0);
    for wrong in [
        json!({"sort": 5}),
        json!({"sort": {"n": "up"}}),
        json!({"sort": ["a", "b", "c", "d", "e"]}),
    ] {
        collection
            .search(&wrong)
            .expect_problem(422, "invalid_field");
    }
    collection
        .search(&json!({}))
        .expect_problem(422, "empty_query");
}

fn pages(collection: &Collection<'_>, search: &Value, between: impl Fn(usize)) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = json!({});
    for page in 0.. {
        let answer = answer(collection, &with(search, cursor));
        found.extend(ids(&answer));
        match answer.get("next_cursor") {
            Some(next) => cursor = json!({"cursor": next}),
            None => break,
        }
        between(page);
    }
    found
}

#[test]
fn pages_by_cursor_form_one_list_in_every_order() {
    let collection = filled("pages");
    for search in [
        json!({"text": "a dog", "mode": "vector"}),
        json!({"text": "a dog in a field", "mode": "keyword"}),
        json!({"text": "a dog", "mode": "hybrid"}),
        json!({"sort": ["-year", "n"]}),
        json!({"sort": {"place": {"$near": {"lat": 0, "lon": 0}}}}),
        json!({"filter": {"n": {"$gt": 7}}}),
        json!({"text": "a dog", "mode": "vector", "group_by": {"field": "kind", "limit": 3}}),
        json!({"sort": "-n", "group_by": {"field": "kind", "limit": 3}}),
    ] {
        let all = ids(&answer(&collection, &with(&search, json!({"limit": 100}))));
        let joined = pages(&collection, &with(&search, json!({"limit": 7})), |_| ());
        assert_eq!(joined, all, "{search}");
        assert!(all.len() >= 15, "{search}");
    }
    collection
        .search(&json!({"sort": "n", "cursor": "abc"}))
        .expect_problem(422, "invalid_field");
    let next = answer(&collection, &json!({"sort": "n", "limit": 2}))["next_cursor"].clone();
    collection
        .search(&json!({"text": "a", "cursor": next}))
        .expect_problem(422, "invalid_field");
    collection
        .search(&json!({"sort": "n", "cursor": next, "offset": 2}))
        .expect_problem(422, "invalid_field");
}

#[test]
fn cursors_survive_writes() {
    let collection = filled("moving");
    let search = json!({"sort": "-n", "limit": 10});
    let found = pages(&collection, &search, |page| match page {
        // The last hit is deleted, a hit changes in another field, one is added before them.
        0 => {
            client()
                .delete(&collection.document_path("d50"))
                .expect(204);
            client()
                .patch(
                    &collection.document_path("d55"),
                    &json!({"metadata": {"seen": true}}),
                )
                .expect(200);
            collection.add(&json!({"id": "new", "text": "new", "metadata": {"n": 100}}));
        }
        _ => {
            client()
                .patch(
                    &collection.document_path("d03"),
                    &json!({"metadata": {"touched": page}}),
                )
                .expect(200);
        }
    });
    let expected: Vec<String> = (0..COUNT).rev().map(|n| format!("d{n:02}")).collect();
    assert_eq!(found, expected);
}

/// Each page changes before the next one is requested.
#[test]
fn a_keyword_cursor_survives_changes_of_its_page() {
    let apples = |name| {
        let collection = client().collection(name);
        let documents: Vec<Value> = (0..40)
            .map(|n| {
                let text = ["red apple", "green apple pie with cream"][n % 2];
                json!({"id": format!("a{n:02}"), "text": text})
            })
            .collect();
        collection.add(&json!(documents));
        collection
    };
    let search = json!({"mode": "keyword", "keywords": "apple", "limit": 5});
    let distinct = |found: &[String]| found.iter().collect::<HashSet<_>>().len();

    let collection = apples("eaten");
    let all = ids(&answer(&collection, &with(&search, json!({"limit": 100}))));
    let eat = |ids: &[String]| {
        for id in ids {
            client().delete(&collection.document_path(id)).expect(204);
        }
    };
    let found = pages(&collection, &search, |page| match page {
        // The last hit, then all of a page.
        0 => eat(&all[4..5]),
        1 => eat(&all[5..10]),
        _ => (),
    });
    assert_eq!((found.len(), distinct(&found)), (40, 40));

    let collection = apples("marked");
    let found = pages(&collection, &search, |page| {
        if page == 0 {
            client()
                .patch(
                    &collection.document_path(&all[4]),
                    &json!({"metadata": {"seen": 1}}),
                )
                .expect(200);
        }
    });
    assert_eq!(distinct(&found), 40);
    assert!(found.len() <= 41, "only what was changed may come again");
}

#[test]
fn each_group_has_its_best_hits() {
    let collection = filled("grouped");
    collection.add(&json!([
        {"id": "alone-1", "text": "a dog"}, {"id": "alone-2", "text": "a dog"},
    ]));
    let search = json!({"text": "a dog", "mode": "vector", "limit": 100});
    let all = answer(&collection, &search);
    let grouped = answer(&collection, &with(&search, json!({"group_by": "kind"})));
    let mut seen: Vec<&Value> = Vec::new();
    let best: Vec<&str> = all["hits"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|hit| {
            let kind = &hit["metadata"]["kind"];
            let new = kind.is_null() || !seen.contains(&kind);
            seen.push(kind);
            new
        })
        .map(|hit| hit["id"].as_str().unwrap())
        .collect();
    assert_eq!(json!(ids(&grouped)), json!(best));
    assert_eq!(best.len(), 7);
    assert_eq!(grouped["total"]["value"], 62);
    for hit in grouped["hits"].as_array().unwrap() {
        assert_eq!(hit.get("group"), hit["metadata"].get("kind"));
    }
}

/// A group of 2,500 documents is first in every order, followed by 20 groups of 25. All groups are
/// found, each with its best documents, in the order of the best ones.
#[test]
fn groups_far_down_the_ranking_are_found() {
    client()
        .put("/collections/deep", &json!({"model": "none", "dim": 4}))
        .expect(201);
    let collection = client().existing("deep");
    let documents: Vec<Value> = (0..3000u32)
        .map(|n| {
            let far = n >= 2500;
            let kind = if far {
                format!("k{:02}", n % 20)
            } else {
                "big".to_owned()
            };
            let angle = f64::from(n) / 3000.0;
            let vector = json!([angle.cos(), angle.sin(), 0, 0]);
            json!({
                "id": format!("d{n:04}"),
                "text": if far { "apple among many other fruits of a garden" } else { "apple" },
                "vectors": {"text": vector, "image": vector},
                "metadata": {"kind": kind, "n": n},
            })
        })
        .collect();
    for part in documents.chunks(1000) {
        collection.add(&json!(part));
    }
    let first = |count: usize| -> Vec<String> {
        let far = (2500..2500 + count).map(|n| format!("d{n}"));
        std::iter::once("d0000".to_owned()).chain(far).collect()
    };
    let query = json!([1, 0, 0, 0]);
    for search in [
        json!({"vector": query, "targets": ["text"]}),
        json!({"vector": query}),
        json!({"keywords": "apple", "mode": "keyword"}),
        json!({"sort": "n"}),
        json!({"sort": "n", "filter": {"n": {"$gte": 0}}}),
        json!({"sort": "n", "keywords": "apple", "mode": "keyword"}),
    ] {
        let grouped = with(&search, json!({"group_by": "kind", "limit": 30}));
        let found = answer(&collection, &grouped);
        assert_eq!(json!(ids(&found)), json!(first(20)), "{search}");
        assert_eq!(found["total"]["value"], 3000, "{search}");
        assert_eq!(found.get("next_cursor"), None, "{search}");
        let two = with(
            &search,
            json!({"group_by": {"field": "kind", "limit": 2}, "limit": 50}),
        );
        assert_eq!(ids(&answer(&collection, &two)).len(), 42, "{search}");
        // In pages, the second by its cursor.
        let page = with(&grouped, json!({"limit": 8}));
        let one = answer(&collection, &page);
        let two = answer(
            &collection,
            &with(&page, json!({"cursor": one["next_cursor"]})),
        );
        let both: Vec<String> = ids(&one).into_iter().chain(ids(&two)).collect();
        assert_eq!(json!(both), json!(first(15)), "{search}");
    }
}

#[test]
fn only_the_requested_fields_are_returned() {
    let collection = filled("picked");
    let hits = collection.hits(&json!({"filter": {"n": 3}, "fields": ["kind", "more.deep"]}));
    assert_eq!(
        hits[0]["metadata"],
        json!({"kind": "owl", "more": {"deep": 3}})
    );
    let hits = collection.hits(&json!({"text": "owl", "fields": []}));
    assert_eq!(hits[0]["metadata"], json!({}));
}
