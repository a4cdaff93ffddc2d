//! Searches: inputs, the three modes, paging, and explained scores.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;

use clipdb_tests::{Client, Collection, Server, SharedServer, pictures};
use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(|| {
    let server = Server::start();
    let collection = server.client().collection("library");
    collection.add(&json!(
        TEXTS.map(|(id, text)| json!({ "id": id, "text": text }))
    ));
    let pictures: Vec<Value> = pictures::DRAWINGS
        .iter()
        .map(|name| json!({ "id": name, "image": Client::image(&pictures::drawing(name)), "metadata": { "file": format!("{name}.png") } }))
        .collect();
    collection.add(&json!(pictures));
    let both = json!({ "id": "both", "text": "our old dog sleeps all day", "image": Client::image(&pictures::png(9)) });
    collection.add(&both);
    server
});

const TEXTS: [(&str, &str); 8] = [
    ("dog", "A puppy runs after a ball in the garden."),
    ("cat", "The kitten sleeps on the warm windowsill."),
    (
        "soup",
        "Boil the vegetables for twenty minutes and add salt.",
    ),
    ("ship", "The vessel left the harbour before the storm."),
    (
        "stars",
        "Astronomers counted the moons of a distant planet.",
    ),
    (
        "code",
        "Error QX-4471 means that the filter has to be cleaned.",
    ),
    (
        "bank",
        "Interest rates rose again, and loans became expensive.",
    ),
    (
        "train",
        "The night train to Vienna was late by three hours.",
    ),
];

fn client() -> &'static Client {
    SERVER.client()
}

fn library() -> Collection<'static> {
    client().existing("library")
}

fn scores(hits: &[Value]) -> Vec<f64> {
    hits.iter()
        .map(|hit| hit["score"].as_f64().unwrap())
        .collect()
}

#[test]
fn a_text_search_finds_meanings() {
    for (query, id) in [
        ("a young animal plays outside", "dog"),
        ("cooking instructions", "soup"),
        ("boats at sea", "ship"),
        ("mortgage costs", "bank"),
        ("railway delay", "train"),
    ] {
        let ids = library()
            .ids(&json!({ "text": query, "mode": "vector", "targets": ["text"], "limit": 3 }));
        assert_eq!(ids[0], id, "'{query}': {ids:?}");
    }
}

#[test]
fn keywords_match_texts_and_file_names() {
    assert_eq!(
        library().ids(&json!({ "text": "QX-4471", "mode": "keyword" })),
        ["code"]
    );
    assert_eq!(library().ids(&json!({ "keywords": "vienna" })), ["train"]);
    assert_eq!(
        library().ids(&json!({ "keywords": "umbrella.png" }))[0],
        "umbrella"
    );
    assert_eq!(
        library().ids(&json!({ "keywords": "+night +train" })),
        ["train"]
    );
    assert_eq!(
        library().ids(&json!({ "keywords": "\"left the harbour\"" })),
        ["ship"]
    );
    assert!(
        library()
            .ids(&json!({ "keywords": "\"harbour the left\"" }))
            .is_empty()
    );
    let without: BTreeSet<String> = library()
        .ids(&json!({ "keywords": "sleeps -kitten" }))
        .into_iter()
        .collect();
    assert_eq!(without, BTreeSet::from(["both".to_owned()]));
    assert!(library().ids(&json!({ "keywords": "zeppelin" })).is_empty());
}

#[test]
fn keywords_match_prefixes_and_misspelled_words() {
    let keyword = |words: &str| library().ids(&json!({ "text": words, "mode": "keyword" }));
    assert_eq!(keyword("astronom*"), ["stars"]);
    assert_eq!(keyword("+vegetab*"), ["soup"]);
    assert_eq!(keyword("Astronomres"), ["stars"]);
    assert_eq!(keyword("vegtables salt"), ["soup"]);
    assert!(keyword("QX-4472 QX4471").iter().all(|id| id == "code"));
    assert!(keyword("\"vegtables\"").is_empty());
    let strict = json!({ "text": "vegtables", "mode": "keyword", "typos": false });
    assert!(library().ids(&strict).is_empty());
    let by_url = |typos: bool| {
        let path = format!("/search?collection=library&q=vegtables&mode=keyword&typos={typos}");
        client().get(&path).expect(200).json()["total"]["value"].clone()
    };
    assert_eq!((by_url(true), by_url(false)), (json!(1), json!(0)));
}

#[test]
fn highlights_mark_the_matching_words() {
    let marked = |query: Value| library().hits(&query)[0]["highlights"].clone();
    assert_eq!(
        marked(json!({ "text": "boiling vegtables", "highlight": true, "mode": "keyword" })),
        json!({ "text": ["<mark>Boil</mark> the <mark>vegetables</mark> for twenty minutes and add salt."] })
    );
    assert_eq!(
        marked(json!({ "keywords": "umbrella.png", "highlight": true })),
        json!({ "metadata.file": ["<mark>umbrella.png</mark>"] })
    );
    let hybrid = json!({ "text": "soup of vegetables", "highlight": true, "limit": 20 });
    for hit in library().hits(&hybrid) {
        let found = hit["id"] == "soup";
        assert_eq!(hit["highlights"].get("text").is_some(), found, "{hit}");
    }
    assert_eq!(
        marked(json!({ "text": "a dog", "highlight": true, "mode": "vector" })),
        json!({}),
        "no words were asked for"
    );
    assert_eq!(marked(json!({ "text": "a dog" })), Value::Null);
    let address = "/search?collection=library&q=vienna&highlight=true";
    let by_url = client().get(address).expect(200).json();
    assert_eq!(
        by_url["hits"][0]["highlights"]["text"][0],
        "The night train to <mark>Vienna</mark> was late by three hours."
    );
}

#[test]
fn unusual_keywords_are_not_an_error() {
    for words in [
        "\"unclosed",
        "+",
        "-",
        "()",
        "a:b:c",
        "AND OR NOT",
        "*",
        "^~",
        "[1 TO 2]",
        "\\",
        "猫",
        "-only",
    ] {
        library().search(&json!({ "keywords": words })).expect(200);
        library().search(&json!({ "text": words })).expect(200);
    }
}

#[test]
fn keywords_and_text_may_differ_in_one_query() {
    let query = json!({ "text": "a pet", "keywords": "QX-4471", "limit": 4 });
    let ids = library().ids(&query);
    assert!(ids.contains(&"code".to_owned()), "{ids:?}");
    assert!(
        ids.iter()
            .any(|id| ["dog", "cat", "dog-face", "both"].contains(&id.as_str())),
        "{ids:?}"
    );
}

#[test]
fn an_image_finds_itself_in_every_encoding() {
    let bytes = pictures::drawing("umbrella");
    let base64 = library().hits(&json!({ "image": Client::image(&bytes), "targets": ["image"] }));
    assert_eq!(base64[0]["id"], "umbrella");
    assert!(
        base64[0]["score"].as_f64().unwrap() > 0.999,
        "{}",
        base64[0]
    );

    let file = || {
        Part::bytes(bytes.clone())
            .file_name("u.png")
            .mime_str("image/png")
            .unwrap()
    };
    let search = json!({ "image": { "file": "picture" }, "targets": ["image"] });
    let form = Form::new().part(
        "search",
        Part::text(search.to_string())
            .mime_str("application/json")
            .unwrap(),
    );
    let named = client()
        .form(&library().path("/search"), form.part("picture", file()))
        .expect(200)
        .json();
    assert_eq!(named["hits"][0]["id"], "umbrella");
    let alone = client()
        .form(&library().path("/search"), Form::new().part("file", file()))
        .expect(200)
        .json();
    assert!(
        alone["hits"]
            .as_array()
            .unwrap()
            .iter()
            .any(|hit| hit["id"] == "umbrella")
    );
}

#[test]
fn a_search_by_a_stored_image_excludes_that_image() {
    let ids =
        library().ids(&json!({ "image": { "id": "umbrella" }, "targets": ["image"], "limit": 50 }));
    assert_eq!(ids.len(), pictures::DRAWINGS.len());
    assert!(!ids.contains(&"umbrella".to_owned()), "{ids:?}");
    library()
        .search(&json!({ "image": { "id": "absent" } }))
        .expect_problem(404, "document_not_found");
    library()
        .search(&json!({ "image": { "id": "dog" } }))
        .expect_problem(404, "no_image");
}

#[test]
fn a_vector_is_searched_unchanged() {
    let encoded = client()
        .post("/encode", &json!({ "inputs": [{ "text": TEXTS[2].1 }] }))
        .expect(200)
        .json();
    let vector = &encoded["vectors"][0];
    let hits = library().hits(&json!({ "vector": vector, "targets": ["text"] }));
    assert_eq!(hits[0]["id"], "soup");
    assert!(hits[0]["score"].as_f64().unwrap() > 0.999, "{}", hits[0]);
    let scaled: Vec<f64> = vector
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap() * 7.0)
        .collect();
    let again = library().hits(&json!({ "vector": scaled, "targets": ["text"] }));
    for (one, other) in scores(&hits).iter().zip(scores(&again)) {
        assert!((one - other).abs() < 1e-5);
    }
    library()
        .search(&json!({ "vector": [1.0, 2.0] }))
        .expect_problem(422, "wrong_dimension");
    library()
        .search(&json!({ "vector": vec![0.0; 576] }))
        .expect_problem(422, "no_direction");
}

#[test]
fn weighted_inputs_add_and_subtract() {
    let rank = |query: Value, id: &str| {
        let ids = library()
            .ids(&json!({ "query": query, "mode": "vector", "targets": ["text"], "limit": 20 }));
        ids.iter().position(|found| found == id).unwrap()
    };
    let animals = json!([{ "text": "animals" }]);
    let no_dogs = json!([{ "text": "animals" }, { "text": "dogs and puppies", "weight": -0.8 }]);
    assert!(rank(no_dogs, "dog") > rank(animals, "dog"));
    let mixed =
        json!([{ "text": "soup recipe" }, { "image": { "id": "dog-face" }, "weight": 0.1 }]);
    assert_eq!(rank(mixed, "soup"), 0);
    let cancelled = json!([{ "text": "sea" }, { "text": "sea", "weight": -1.0 }]);
    library()
        .search(&json!({ "query": cancelled }))
        .expect_problem(422, "cancelled_query");
}

#[test]
fn targets_select_the_vectors() {
    let ids = |targets: Value| -> BTreeSet<String> {
        library()
            .ids(&json!({ "text": "dog", "mode": "vector", "targets": targets, "limit": 50 }))
            .into_iter()
            .collect()
    };
    let images = ids(json!(["image"]));
    let texts = ids(json!(["text"]));
    assert_eq!(images.len(), pictures::DRAWINGS.len() + 1);
    assert_eq!(texts.len(), TEXTS.len() + 1);
    assert_eq!(&ids(json!(["image", "text"])), &(&images | &texts));
    let shared: Vec<_> = images.intersection(&texts).collect();
    assert_eq!(shared, ["both"]);
}

#[test]
fn images_and_texts_share_a_page() {
    let ids = library().ids(&json!({ "text": "a dog", "limit": 6 }));
    assert!(ids.contains(&"dog-face".to_owned()), "the image: {ids:?}");
    assert!(
        ids.contains(&"dog".to_owned()) || ids.contains(&"both".to_owned()),
        "a text: {ids:?}"
    );
    let once: BTreeSet<_> = ids.iter().collect();
    assert_eq!(once.len(), ids.len(), "a document is one hit: {ids:?}");
}

#[test]
fn pages_do_not_overlap() {
    for mode in ["hybrid", "vector"] {
        let query = |limit: usize, offset: usize| {
            library().ids(&json!({ "text": "sleeping animals", "mode": mode, "limit": limit, "offset": offset }))
        };
        let whole = query(50, 0);
        assert_eq!(
            whole.len(),
            TEXTS.len() + pictures::DRAWINGS.len() + 1,
            "{mode}"
        );
        let pages: Vec<String> = (0..5).flat_map(|page| query(3, page * 3)).collect();
        assert_eq!(pages, whole[..pages.len()], "{mode}");
        assert!(query(10, 1_000).is_empty());
    }
}

#[test]
fn scores_descend_and_min_score_limits_them() {
    let hits = library().hits(
        &json!({ "text": "a sleeping pet", "mode": "vector", "targets": ["text"], "limit": 50 }),
    );
    let all = scores(&hits);
    assert!(all.windows(2).all(|pair| pair[0] >= pair[1]), "{all:?}");
    let least = f64::midpoint(all[2], all[3]);
    let cut = library().hits(&json!({
        "text": "a sleeping pet", "mode": "vector", "targets": ["text"], "limit": 50, "min_score": least,
    }));
    assert_eq!(cut, hits[..3]);
}

#[test]
fn the_parts_of_a_score_add_up() {
    for query in [
        json!({ "text": "an old dog", "explain": true, "limit": 20 }),
        json!({ "text": "an old dog", "explain": true, "limit": 20, "mode": "vector" }),
        json!({ "text": "an old dog", "explain": true, "limit": 20, "mode": "keyword" }),
        json!({ "text": "an old dog", "explain": true, "limit": 20, "fusion": { "method": "linear" } }),
        json!({ "text": "an old dog", "explain": true, "limit": 20, "fusion": { "method": "rrf", "k": 10, "weights": { "keyword": 2.5, "image": 0.5 } } }),
    ] {
        let hits = library().hits(&query);
        assert!(!hits.is_empty());
        for hit in &hits {
            let explained = &hit["explain"];
            assert_eq!(explained["score"], hit["score"]);
            let parts = explained["parts"].as_array().unwrap();
            let sum: f64 = parts
                .iter()
                .map(|part| part["contribution"].as_f64().unwrap())
                .sum();
            assert!(
                (sum - hit["score"].as_f64().unwrap()).abs() < 1e-9,
                "{query}: {hit:#}"
            );
            for part in parts {
                assert!(
                    ["keyword", "image", "text"].contains(&part["list"].as_str().unwrap()),
                    "{part}"
                );
            }
        }
    }
    let plain = library().hits(&json!({ "text": "an old dog" }));
    assert!(plain[0].get("explain").is_none());
}

#[test]
fn an_explanation_names_every_searched_list() {
    let query = json!({ "text": "an old dog", "explain": true, "limit": 20, "fusion": { "weights": { "text": 0.5 } } });
    let mut silent = BTreeSet::new();
    for hit in library().hits(&query) {
        let parts = hit["explain"]["parts"].as_array().unwrap();
        let lists: Vec<_> = parts.iter().map(|part| part["list"].clone()).collect();
        assert_eq!(lists, ["keyword", "image", "text"]);
        assert_eq!(parts[2]["weight"], 0.5);
        for part in parts {
            let found = part["rank"].is_u64();
            assert_eq!(part["raw"].is_number(), found, "{part}");
            assert_eq!(
                part["contribution"].as_f64().unwrap() > 0.0,
                found,
                "{part}"
            );
            if !found {
                assert_eq!(part["rank"], Value::Null);
                silent.insert(part["list"].as_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(silent.len(), 3, "each list leaves some out: {silent:?}");
    let texts = library()
        .hits(&json!({ "text": "an old dog", "explain": true, "targets": ["text"], "limit": 1 }));
    assert_eq!(texts[0]["explain"]["parts"].as_array().unwrap().len(), 2);
}

#[test]
fn a_fusion_weight_of_zero_disables_a_list() {
    let ids = library()
        .ids(&json!({ "text": "QX-4471", "fusion": { "weights": { "image": 0, "text": 0 } } }));
    assert_eq!(ids, ["code"]);
}

#[test]
fn a_hit_contains_its_document() {
    let hit = &library()
        .hits(&json!({ "text": "umbrella", "mode": "vector", "targets": ["image"], "limit": 1 }))
        [0];
    let document = library().document("umbrella").expect(200).json();
    for field in ["id", "image", "metadata"] {
        assert_eq!(hit[field], document[field]);
    }
    assert_eq!(hit["text"], Value::Null);
    assert_eq!(
        client()
            .get(hit["image"].as_str().unwrap())
            .expect(200)
            .body,
        pictures::drawing("umbrella")
    );
}

#[test]
fn a_response_has_a_total_and_timings() {
    let answer = library()
        .search(&json!({ "keywords": "the", "limit": 1 }))
        .expect(200)
        .json();
    assert_eq!(answer["total"]["kind"], "exact");
    assert!(answer["total"]["value"].as_u64().unwrap() >= 4, "{answer}");
    let answer = library()
        .search(&json!({ "text": "the", "limit": 1 }))
        .expect(200)
        .json();
    // With so few documents, all are candidates.
    assert_eq!(answer["total"]["kind"], "exact");
    assert!(answer["took_ms"].as_f64().unwrap() > 0.0);
    assert!(
        answer["timings"]["model_us"].as_u64().unwrap() > 0,
        "{answer}"
    );
    let long = library()
        .search(&json!({ "text": "ships at sea ".repeat(500) }))
        .expect(200)
        .json();
    assert_eq!(long["truncated"], true);
}

#[test]
fn invalid_queries_are_refused_with_reasons() {
    let cases = [
        (json!({ "txt": "a" }), "unknown_field", "txt"),
        (
            json!({ "text": "a", "fusion": { "kk": 1 } }),
            "unknown_field",
            "kk",
        ),
        (
            json!({ "query": [{ "text": "a", "wieght": 1 }] }),
            "unknown_field",
            "wieght",
        ),
        (json!({}), "empty_query", "'text'"),
        (json!({ "text": "  " }), "empty_query", "'text'"),
        (
            json!({ "text": "a", "limit": 0 }),
            "invalid_field",
            "'limit'",
        ),
        (
            json!({ "text": "a", "limit": 1001 }),
            "invalid_field",
            "'limit'",
        ),
        (json!({ "text": "a", "limit": -1 }), "invalid_field", "-1"),
        (
            json!({ "text": "a", "offset": 10_000_000 }),
            "invalid_field",
            "'offset'",
        ),
        (
            json!({ "text": "a", "mode": "psychic" }),
            "invalid_field",
            "psychic",
        ),
        (
            json!({ "text": "a", "targets": [] }),
            "invalid_field",
            "'targets'",
        ),
        (
            json!({ "text": "a", "targets": ["sound"] }),
            "invalid_field",
            "sound",
        ),
        (json!({ "text": 7 }), "invalid_field", "string"),
        (
            json!({ "text": "a", "vector": [1.0] }),
            "invalid_field",
            "'query'",
        ),
        (
            json!({ "query": [{ "text": "a", "weight": 0 }] }),
            "invalid_field",
            "'weight'",
        ),
        (
            json!({ "query": [{ "text": "a", "vector": [1.0] }] }),
            "invalid_field",
            "exactly one",
        ),
        (
            json!({ "text": "a", "fusion": { "k": -1 } }),
            "invalid_field",
            "k is -1",
        ),
        (
            json!({ "text": "a", "fusion": { "weights": { "image": -1 } } }),
            "invalid_field",
            "weight",
        ),
        (
            json!({ "mode": "keyword", "image": { "id": "umbrella" } }),
            "invalid_field",
            "words",
        ),
        (
            json!({ "image": { "url": "http://127.0.0.1:9/a.png" } }),
            "url_ingest_disabled",
            "base64",
        ),
        (
            json!({ "image": { "base64": "***" } }),
            "invalid_base64",
            "base64",
        ),
        (
            json!({ "image": { "base64": "aGVsbG8=" } }),
            "invalid_image",
            "",
        ),
    ];
    for (query, code, named) in cases {
        let problem = library().search(&query).expect_problem(422, code);
        assert!(
            problem["detail"].as_str().unwrap().contains(named),
            "{query}: {problem:#}"
        );
    }
    client()
        .get("/search?q=a&collection=library&limt=1")
        .expect_problem(422, "unknown_field");
    client()
        .get("/search?collection=library")
        .expect_problem(422, "invalid_field");
}

#[test]
fn a_search_of_an_empty_collection_has_no_hits() {
    let collection = client().collection("empty");
    for query in [
        json!({ "text": "anything" }),
        json!({ "keywords": "anything" }),
        json!({ "text": "a", "mode": "vector" }),
    ] {
        assert!(collection.hits(&query).is_empty());
    }
}

#[test]
fn every_hit_says_how_sure_it_is() {
    let answer = library()
        .search(&json!({ "text": "QX-4471" }))
        .expect(200)
        .json();
    let hits = answer["hits"].as_array().unwrap();
    assert_eq!(hits[0]["id"], "code");
    assert!(hits[0]["confidence"].as_f64().unwrap() > 0.9, "{}", hits[0]);
    for hit in hits {
        let sure = hit["confidence"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&sure), "{hit}");
    }
    assert_eq!(answer["no_match"], false);
    assert!(answer["warnings"].is_null());
    let sorted = library().hits(&json!({ "filter": {}, "sort": ["$id"] }));
    assert!(sorted[0]["confidence"].is_null());
}

#[test]
fn what_is_not_sure_enough_is_left_out() {
    let all = json!({ "text": "the puppy runs after a ball", "limit": 100 });
    let total = |extra: Value| {
        let mut query = all.clone();
        query
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let answer = library().search(&query).expect(200).json();
        assert_eq!(
            answer["no_match"],
            answer["total"]["value"] == 0,
            "{answer}"
        );
        assert_eq!(
            answer["hits"].as_array().unwrap().len() as u64,
            answer["total"]["value"].as_u64().unwrap()
        );
        answer["total"]["value"].as_u64().unwrap()
    };
    let (none, auto) = (total(json!({})), total(json!({ "cutoff": "auto" })));
    let (sure, number) = (
        total(json!({ "min_confidence": 0.5 })),
        total(json!({ "cutoff": 0.5 })),
    );
    assert!(
        none > auto && auto >= sure && sure >= 1,
        "{none} {auto} {sure}"
    );
    assert_eq!(sure, number);
    assert_eq!(total(json!({ "cutoff": "auto", "min_confidence": 1 })), 0);
    let by_address = client()
        .get("/search?q=puppy+runs&collection=library&cutoff=auto")
        .expect(200)
        .json();
    assert_eq!(by_address["hits"][0]["id"], "dog");
    assert!(by_address["total"]["value"].as_u64().unwrap() < none);
}

#[test]
fn nothing_matches_random_letters() {
    for mode in ["hybrid", "vector", "keyword"] {
        let query = json!({ "text": "xqzvt wkpfj", "mode": mode, "cutoff": "auto" });
        let answer = library().search(&query).expect(200).json();
        assert_eq!(
            (&answer["no_match"], &answer["hits"]),
            (&json!(true), &json!([])),
            "{mode}"
        );
    }
}

#[test]
fn a_cutoff_out_of_bounds_is_refused_by_field() {
    for (field, value) in [
        ("cutoff", json!(1.5)),
        ("cutoff", json!("some")),
        ("min_confidence", json!(-0.1)),
    ] {
        let problem = library().search(&json!({ "text": "dog", field: value }));
        let problem = problem.expect_kind(422, "application/problem+json").text();
        assert!(problem.contains(field), "{problem}");
    }
}

#[test]
fn a_query_in_a_script_that_the_model_does_not_read_gets_a_warning() {
    for (text, script) in [
        ("\u{f41}\u{fb1}\u{f72}", "Tibetan"),
        ("\u{13a9}\u{13df} dog", "Cherokee"),
    ] {
        let answer = library()
            .search(&json!({ "text": text }))
            .expect(200)
            .json();
        let warning = &answer["warnings"][0];
        assert_eq!(warning["code"], "unreadable_query");
        assert!(
            warning["detail"].as_str().unwrap().contains(script),
            "{warning}"
        );
    }
    let words = library()
        .search(&json!({ "keywords": "\u{f41}\u{fb1}\u{f72}" }))
        .expect(200)
        .json();
    assert!(
        words["warnings"].is_null(),
        "keywords are not read by the model"
    );
}
