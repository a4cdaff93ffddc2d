//! The pages of a search form one list, at any depth and with any page size, while nothing is
//! written; and the ranking of a search by an image only.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use clipdb_tests::{Client, Collection, Server, SharedServer, pictures, wait_until};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(Server::start);

const DIM: usize = 16;
const DOCUMENTS: usize = 4_000;

fn client() -> &'static Client {
    SERVER.client()
}

fn vector(random: &mut StdRng) -> Vec<f32> {
    (0..DIM).map(|_| random.random_range(-1.0..1.0)).collect()
}

/// Documents with vectors of these kinds, in several segments of an index.
fn filled(name: &str, index: &Value, kinds: &[&str]) -> String {
    let path = format!("/collections/{name}");
    client()
        .put(&path, &json!({"model": "none", "dim": DIM, "index": index}))
        .expect(201);
    let mut random = StdRng::seed_from_u64(4);
    let documents: Vec<Value> = (0..DOCUMENTS)
        .map(|n| {
            let kind = kinds[n % kinds.len()];
            json!({
                "id": format!("d{n}"), "vectors": {kind: vector(&mut random)},
                "metadata": {"tenth": n % 10, "group": n % 70, "rare": n % 200 == 0},
            })
        })
        .collect();
    for part in documents.chunks(500) {
        client()
            .post(&format!("{path}/documents"), &json!(part))
            .expect(200);
    }
    wait_until(|| client().get(&path).expect(200).json()["index"]["building"] == false);
    path
}

fn ask(path: &str, search: &Value, more: Value) -> Value {
    let mut body = search.clone();
    let Value::Object(more) = more else {
        unreachable!("an object")
    };
    body.as_object_mut().unwrap().extend(more);
    client()
        .post(&format!("{path}/search"), &body)
        .expect(200)
        .json()
}

fn ids(answer: &Value) -> Vec<String> {
    let hits = answer["hits"].as_array().unwrap();
    let ids = hits
        .iter()
        .map(|hit| hit["id"].as_str().unwrap().to_owned());
    ids.collect()
}

/// The complete list, in pages of a thousand. Compares it with smaller pages of several sizes, by
/// offset and by cursor.
fn assert_one_list(path: &str, search: &Value, what: &str) -> Vec<String> {
    let (mut whole, mut totals) = (Vec::new(), BTreeSet::new());
    loop {
        let answer = ask(path, search, json!({"limit": 1000, "offset": whole.len()}));
        totals.insert(answer["total"]["value"].to_string());
        let page = ids(&answer);
        if page.is_empty() {
            break;
        }
        whole.extend(page);
    }
    assert_eq!(
        whole.iter().collect::<BTreeSet<_>>().len(),
        whole.len(),
        "{what}: a hit twice"
    );
    // Small and large offsets, with arbitrary boundaries.
    for (offset, limit) in [
        (0, 1),
        (0, 10),
        (10, 10),
        (20, 10),
        (3, 30),
        (28, 9),
        (30, 70),
    ]
    .into_iter()
    .chain([
        (90, 11),
        (100, 100),
        (120, 20),
        (500, 33),
        (1015, 20),
        (2990, 40),
        (3990, 40),
    ]) {
        let answer = ask(path, search, json!({"offset": offset, "limit": limit}));
        totals.insert(answer["total"]["value"].to_string());
        let expected = whole.iter().skip(offset).take(limit);
        let expected: Vec<&String> = expected.collect();
        let page = ids(&answer);
        assert_eq!(
            page.iter().collect::<Vec<_>>(),
            expected,
            "{what}: {offset} and {limit}"
        );
    }
    assert_eq!(totals.len(), 1, "{what}: {totals:?}");
    for limit in [7, 90] {
        let (mut joined, mut cursor) = (Vec::new(), json!({}));
        while joined.len() < 400 {
            let mut more = cursor.clone();
            more["limit"] = json!(limit);
            let answer = ask(path, search, more);
            joined.extend(ids(&answer));
            match answer.get("next_cursor") {
                Some(next) => cursor = json!({"cursor": next}),
                None => break,
            }
        }
        assert_eq!(
            joined,
            whole[..joined.len()],
            "{what}: by cursors, {limit} a page"
        );
        assert!(
            joined.len() >= whole.len().min(400),
            "{what}: {}",
            joined.len()
        );
    }
    whole
}

#[test]
fn pages_of_each_index_form_one_list() {
    let mut random = StdRng::seed_from_u64(9);
    for (name, index) in [
        ("hnsw", json!({"kind": "hnsw", "seal_at": 1500})),
        ("sq8", json!({"kind": "sq8", "seal_at": 1500})),
        ("lists", json!({"kind": "ivf_pq", "seal_at": 2600})),
        ("flat", json!({"kind": "flat", "seal_at": 1500})),
    ] {
        let path = filled(&format!("pages-{name}"), &index, &["image"]);
        for (more, found) in [
            (json!({}), 4000),
            (json!({"ef": 16, "nprobe": 1}), 4000),
            (json!({"ef": 1000, "nprobe": 50}), 4000),
            (json!({"exact": true}), 4000),
            (json!({"filter": {"tenth": 3}}), 400),
            (json!({"filter": {"tenth": {"$lt": 5}}, "ef": 40}), 2000),
            (json!({"filter": {"rare": true}}), 20),
            (json!({"group_by": "group"}), 70),
            (json!({"group_by": {"field": "group", "limit": 20}}), 1400),
        ] {
            let mut search = json!({"vector": vector(&mut random)});
            search
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let whole = assert_one_list(&path, &search, &format!("{name}, {more}"));
            assert_eq!(whole.len(), found, "{name}, {more}");
        }
        // The hits with a minimum score, of the thousand best.
        let search = json!({"vector": vector(&mut random), "min_score": 0.2});
        let whole = assert_one_list(&path, &search, name);
        assert!((100..=1000).contains(&whole.len()), "{}", whole.len());
    }
}

#[test]
fn pages_of_fused_lists_form_one_list() {
    let mut random = StdRng::seed_from_u64(10);
    let index = json!({"kind": "hnsw", "seal_at": 1500});
    let path = filled("pages-fused", &index, &["image", "text"]);
    for more in [
        json!({}),
        json!({"ef": 16}),
        json!({"fusion": {"method": "linear"}}),
        json!({"fusion": {"weights": {"image": 3}}}),
        json!({"filter": {"tenth": {"$lt": 5}}}),
        json!({"group_by": "group"}),
    ] {
        let mut search = json!({"vector": vector(&mut random)});
        search
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        assert_one_list(&path, &search, &more.to_string());
    }
}

/// Drawings and other images, one of them with a caption, and sentences of a novel.
fn mixed() -> Collection<'static> {
    static FILLED: LazyLock<()> = LazyLock::new(|| {
        let collection = client().collection("images-first");
        let drawings = pictures::DRAWINGS.iter().map(|name| {
            json!({"id": name, "image": Client::image(&pictures::drawing(name)), "metadata": {"of": "drawing"}})
        });
        let discs = (0..4).map(|seed| {
            json!({"id": format!("discs-{seed}"), "image": Client::image(&pictures::png(seed)), "metadata": {"of": "discs"}})
        });
        let captioned = json!({
            "id": "captioned", "text": "A red apple on a plate.", "metadata": {"of": "drawing"},
            "image": Client::image(&pictures::png(77)),
        });
        let novel = include_str!("data/novel.txt").lines().enumerate();
        let novel = novel.map(|(n, text)| json!({"id": format!("novel/{n}"), "text": text}));
        let all: Vec<Value> = drawings
            .chain(discs)
            .chain([captioned])
            .chain(novel)
            .collect();
        collection.add(&json!(all));
    });
    LazyLock::force(&FILLED);
    client().existing("images-first")
}

fn images() -> usize {
    pictures::DRAWINGS.len() + 5
}

fn base64(name: &str) -> Value {
    json!({"base64": Client::image(&pictures::drawing(name))["base64"]})
}

/// Exactly the first `images` hits have an image; scores descend and have an explanation.
fn assert_images_first(hits: &[Value], images: usize) {
    for (place, hit) in hits.iter().enumerate() {
        let is_image = hit["image"].is_string();
        assert_eq!(is_image, place < images, "{place}: {hit}");
        let score = hit["score"].as_f64().unwrap();
        let parts = hit["explain"]["parts"].as_array().unwrap();
        let sum: f64 = parts
            .iter()
            .map(|part| part["contribution"].as_f64().unwrap())
            .sum();
        assert_eq!(sum, score, "{hit}");
        let (list, raw) = if is_image {
            ("image", 4.0 * score - 3.0)
        } else {
            ("text", 4.0 * score - 1.0)
        };
        let part = parts.iter().find(|part| part["list"] == list).unwrap();
        assert!((part["raw"].as_f64().unwrap() - raw).abs() < 1e-5, "{hit}");
        assert_eq!(part["place"], json!((place + 1) as f64), "{hit}");
    }
    let scores: Vec<f64> = hits
        .iter()
        .map(|hit| hit["score"].as_f64().unwrap())
        .collect();
    assert!(scores.windows(2).all(|two| two[0] >= two[1]), "{scores:?}");
}

#[test]
fn a_search_by_only_an_image_ranks_images_first() {
    for name in pictures::DRAWINGS {
        for search in [
            json!({"image": base64(name)}),
            json!({"image": base64(name), "mode": "hybrid"}),
            json!({"image": base64(name), "fusion": {"method": "linear"}}),
            json!({"query": [{"image": base64(name)}, {"image": base64("umbrella"), "weight": 0.2}]}),
            json!({"query": [{"image": base64(name)}, {"text": "the sea", "weight": -0.1}]}),
        ] {
            let mut search = search;
            search["limit"] = json!(60);
            search["explain"] = json!(true);
            let hits = mixed().hits(&search);
            assert_eq!(hits.len(), 60);
            assert_eq!(hits[0]["id"], name, "{search}");
            assert_images_first(&hits, images());
        }
    }
    // With words too, or with texts as the target, the ranking is different.
    let texts = mixed().hits(&json!({"image": base64("castle"), "targets": ["text"], "limit": 20}));
    assert!(texts.iter().all(|hit| hit["text"].is_string()));
    let both =
        json!({"query": [{"image": base64("castle")}, {"text": "an old castle"}], "limit": 8});
    let hits = mixed().hits(&both);
    assert!(hits.iter().any(|hit| !hit["image"].is_string()), "{hits:?}");
    let keywords = json!({"image": base64("castle"), "keywords": "castle sea house", "mode": "hybrid", "limit": 8});
    let hits = mixed().hits(&keywords);
    assert!(hits.iter().any(|hit| !hit["image"].is_string()), "{hits:?}");
    let no_images =
        json!({"image": base64("castle"), "fusion": {"weights": {"image": 0}}, "limit": 20});
    assert!(
        mixed()
            .hits(&no_images)
            .iter()
            .all(|hit| hit["text"].is_string())
    );
}

#[test]
fn pages_of_a_search_by_image_form_one_list_with_one_total() {
    let path = "/collections/images-first";
    let _ = mixed();
    for search in [
        json!({"image": base64("castle")}),
        json!({"image": base64("castle"), "group_by": "of"}),
        json!({"image": {"id": "castle"}}),
        json!({"image": base64("castle"), "min_score": 0.6}),
        json!({"image": base64("castle"), "filter": {"of": "drawing"}}),
    ] {
        assert_one_list(path, &search, &search.to_string());
    }
    let count = |search: Value| ask(path, &search, json!({}))["total"].clone();
    let documents = images() + include_str!("data/novel.txt").lines().count();
    assert_eq!(
        count(json!({"image": base64("castle")})),
        json!({"value": documents, "kind": "exact"})
    );
    let filter = json!({"of": "drawing"});
    assert_eq!(
        count(json!({"image": base64("castle"), "filter": filter}))["value"],
        pictures::DRAWINGS.len() + 1
    );
}

/// It is not among the hits, totals, facets or groups, whatever else the query contains.
#[test]
fn a_document_used_as_the_query_is_not_a_hit() {
    let path = "/collections/images-first";
    let documents = images() + include_str!("data/novel.txt").lines().count();
    let _ = mixed();
    for name in ["castle", "captioned"] {
        let same = json!({"image": {"id": name}});
        for more in [
            json!({}),
            json!({"targets": ["image"]}),
            json!({"targets": ["text"]}),
            json!({"exact": true}),
            json!({"mode": "hybrid"}),
            json!({"mode": "hybrid", "keywords": "red apple"}),
            json!({"sort": "-of"}),
            json!({"group_by": {"field": "of", "limit": 100}}),
            json!({"filter": {"of": "drawing"}}),
        ] {
            let mut search = same.clone();
            search
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let answer = ask(path, &search, json!({"limit": 1000, "facets": ["of"]}));
            let found = ids(&answer);
            assert!(!found.contains(&name.to_owned()), "{search}: {found:?}");
            assert_eq!(answer["total"]["value"], found.len(), "{search}");
        }
        let counted = ask(path, &same, json!({"facets": ["of"]}));
        assert_eq!(counted["total"]["value"], documents - 1);
        let drawings = counted["facets"]["of"]
            .as_array()
            .unwrap()
            .iter()
            .find(|value| value["value"] == "drawing")
            .unwrap();
        assert_eq!(drawings["count"], pictures::DRAWINGS.len());
        let pushed = json!({"query": [{"text": "a house"}, {"image": {"id": name}, "weight": -0.2}], "limit": 1000});
        assert!(!ids(&ask(path, &pushed, json!({}))).contains(&name.to_owned()));
    }
}
