#![allow(clippy::unwrap_used, reason = "tests")]

use clipdb_index::Order;
use serde_json::json;

use super::*;
use crate::search::confidence::Cut;
use crate::search::query::{Content, Mode, Targets};
use crate::search::view::{GroupBy, View};
use crate::testing::{
    DIM, TestEngine, by_keywords, by_vector, id_of, ids, part, query, with_image, with_text,
};

const NORTH: [f32; DIM] = [1.0, 0.0, 0.0, 0.0];
const EAST: [f32; DIM] = [0.0, 1.0, 0.0, 0.0];
const NORTH_EAST: [f32; DIM] = [1.0, 1.0, 0.0, 0.0];
const NORTH_BY_EAST: [f32; DIM] = [3.0, 1.0, 0.0, 0.0];

/// Four texts in different directions, of two colours.
async fn compass() -> (TestEngine, Arc<Collection>) {
    let engine = TestEngine::open();
    let collection = engine.make("compass").await;
    let documents = vec![
        with_text("north", "cold wind", NORTH).with_metadata(json!({"colour": "blue", "n": 1})),
        with_text("east", "warm wind", EAST).with_metadata(json!({"colour": "red", "n": 2})),
        with_text("north-east", "rain", NORTH_EAST)
            .with_metadata(json!({"colour": "blue", "n": 3})),
        with_text("north-by-east", "cold rain", NORTH_BY_EAST).with_metadata(json!({"n": 4})),
    ];
    engine.store(&collection, documents).await;
    (engine, collection)
}

#[tokio::test]
async fn the_nearest_vectors_come_first() {
    let (engine, collection) = compass().await;
    let found = engine.found(&collection, by_vector(NORTH)).await;
    assert_eq!(found, ["north", "north-by-east", "north-east", "east"]);
    let answer = engine.search(&collection, by_vector(NORTH)).await.unwrap();
    let score = answer.hits[0].score.unwrap();
    assert!((score - 1.0).abs() < 1e-3, "a cosine: {score}");
    assert_eq!((answer.total, answer.total_kind), (4, TotalKind::Exact));
}

#[tokio::test]
async fn keywords_find_words() {
    let (engine, collection) = compass().await;
    let mut found = engine.found(&collection, by_keywords("wind")).await;
    found.sort_unstable();
    assert_eq!(found, ["east", "north"]);
    let both = engine.found(&collection, by_keywords("+cold +rain")).await;
    assert_eq!(both, ["north-by-east"]);
    assert!(
        engine
            .found(&collection, by_keywords("snow"))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_hybrid_search_joins_both_lists() {
    let (engine, collection) = compass().await;
    let mut hybrid = query(Mode::Hybrid);
    hybrid.parts = vec![part(Content::Vector(EAST.to_vec()), 1.0)];
    hybrid.keywords = Some("cold".to_owned());
    let answer = engine.search(&collection, hybrid).await.unwrap();
    assert_eq!(answer.hits.len(), 4, "every vector matches to some degree");
    assert_eq!(answer.lists.len(), 3);
    let found = ids(&answer);
    assert_eq!(found[0], "east", "the nearest: {found:?}");
    let place = |id: &str| found.iter().position(|found| found == id);
    assert!(
        place("north-by-east") < place("north"),
        "both match, and one is nearer: {found:?}"
    );
}

#[tokio::test]
async fn excluded_keywords_are_in_no_list() {
    let (engine, collection) = compass().await;
    let mut hybrid = query(Mode::Hybrid);
    hybrid.parts = vec![part(Content::Vector(NORTH.to_vec()), 1.0)];
    hybrid.keywords = Some("rain -cold".to_owned());
    let found = engine.found(&collection, hybrid).await;
    assert!(!found.contains(&"north".to_owned()), "{found:?}");
    assert!(!found.contains(&"north-by-east".to_owned()), "{found:?}");
    assert!(found.contains(&"north-east".to_owned()), "{found:?}");
}

#[tokio::test]
async fn totals_count_by_mode() {
    let (engine, collection) = compass().await;
    let blue = json!({"colour": "blue"});
    let with = |change: &dyn Fn(&mut Query), mode: Query| {
        let mut query = mode;
        change(&mut query);
        query
    };
    let near = |least: f32| move |query: &mut Query| query.min_score = Some(least);
    let of_blue = |query: &mut Query| query.filter = Some(blue.clone());
    let short = |query: &mut Query| query.limit = 1;
    let table: [(&str, Query, usize, TotalKind); 9] = [
        ("browse", query(Mode::Browse), 4, TotalKind::Exact),
        (
            "browse, filtered",
            with(&of_blue, query(Mode::Browse)),
            2,
            TotalKind::Exact,
        ),
        (
            "browse, one hit",
            with(&short, query(Mode::Browse)),
            4,
            TotalKind::Exact,
        ),
        ("keyword", by_keywords("rain"), 2, TotalKind::Exact),
        (
            "keyword, filtered",
            with(&of_blue, by_keywords("rain")),
            1,
            TotalKind::Exact,
        ),
        (
            "keyword, one hit",
            with(&short, by_keywords("rain")),
            2,
            TotalKind::Exact,
        ),
        ("vector", by_vector(NORTH), 4, TotalKind::Exact),
        (
            "vector, one hit",
            with(&short, by_vector(NORTH)),
            4,
            TotalKind::Exact,
        ),
        (
            "vector, near",
            with(&near(0.9), by_vector(NORTH)),
            2,
            TotalKind::Exact,
        ),
    ];
    for (name, query, total, kind) in table {
        let answer = engine.search(&collection, query).await.unwrap();
        assert_eq!((answer.total, answer.total_kind), (total, kind), "{name}");
    }
}

#[tokio::test]
async fn facets_count_what_the_total_counts() {
    let (engine, collection) = compass().await;
    let mut browse = query(Mode::Browse);
    browse.view.facets = vec![("colour".to_owned(), 10)];
    let answer = engine.search(&collection, browse).await.unwrap();
    let (field, facet) = &answer.facets[0];
    assert_eq!(field, "colour");
    let expected = [(json!("blue"), 2), (json!("red"), 1)];
    assert_eq!(facet.values, expected);
    assert_eq!(answer.total, 4);
}

#[tokio::test]
async fn hits_in_groups_and_their_pages() {
    let (engine, collection) = compass().await;
    let grouped = |limit, cursor| Query {
        limit: 2,
        view: View {
            group_by: Some(GroupBy {
                field: "colour".to_owned(),
                limit,
            }),
            cursor,
            ..View::default()
        },
        ..by_vector(NORTH)
    };
    let first = engine.search(&collection, grouped(1, None)).await.unwrap();
    assert_eq!(ids(&first), ["north", "north-by-east"]);
    assert_eq!(first.hits[0].group, Some(json!("blue")));
    assert_eq!(first.hits[1].group, None);
    let second = engine.search(&collection, grouped(1, first.next)).await;
    assert_eq!(ids(&second.unwrap()), ["east"]);
}

#[tokio::test]
async fn pages_in_the_order_of_a_field() {
    let (engine, collection) = compass().await;
    let ordered = |cursor, offset| Query {
        limit: 2,
        offset,
        view: View {
            order: Order::default().descending("n"),
            cursor,
            ..View::default()
        },
        ..query(Mode::Browse)
    };
    let first = engine.search(&collection, ordered(None, 0)).await.unwrap();
    assert_eq!(ids(&first), ["north-by-east", "north-east"]);
    assert!(first.hits.iter().all(|hit| hit.score.is_none()));
    let next = engine.search(&collection, ordered(first.next, 0)).await;
    let next = next.unwrap();
    assert_eq!(ids(&next), ["east", "north"]);
    assert!(next.next.is_none());
    let by_offset = engine.search(&collection, ordered(None, 1)).await.unwrap();
    assert_eq!(ids(&by_offset), ["north-east", "east"]);
}

#[tokio::test]
async fn a_cursor_of_another_order_is_refused() {
    let (engine, collection) = compass().await;
    let mut ranked = by_vector(NORTH);
    ranked.limit = 1;
    let next = engine
        .search(&collection, ranked.clone())
        .await
        .unwrap()
        .next;
    let mut browse = query(Mode::Browse);
    browse.view.cursor = next;
    let error = engine.search(&collection, browse).await.err().unwrap();
    assert!(matches!(error, EngineError::InvalidField(_)), "{error}");
}

#[tokio::test]
async fn a_document_that_the_query_names_is_left_out() {
    let engine = TestEngine::open();
    let collection = engine.make("images").await;
    let images = vec![
        with_image("a", NORTH),
        with_image("b", NORTH_BY_EAST),
        with_image("c", EAST),
    ];
    engine.store(&collection, images).await;
    let mut like = query(Mode::Vector);
    like.parts = vec![part(Content::ImageOf(id_of("a")), 1.0)];
    let answer = engine.search(&collection, like).await.unwrap();
    assert_eq!(ids(&answer), ["b", "c"]);
    assert_eq!(answer.total, 2);
}

#[tokio::test]
async fn only_the_targets_are_compared() {
    let engine = TestEngine::open();
    let collection = engine.make("both").await;
    let documents = vec![
        with_image("image", NORTH),
        with_text("text", "words", NORTH),
    ];
    engine.store(&collection, documents).await;
    for (image, text, expected) in [(true, false, "image"), (false, true, "text")] {
        let mut aimed = by_vector(NORTH);
        aimed.targets = Targets { image, text };
        assert_eq!(engine.found(&collection, aimed).await, [expected]);
    }
}

#[tokio::test]
async fn parts_that_cancel_each_other_out_are_refused() {
    let (engine, collection) = compass().await;
    let mut cancelled = by_vector(NORTH);
    cancelled
        .parts
        .push(part(Content::Vector(NORTH.to_vec()), -1.0));
    let error = engine.search(&collection, cancelled).await.err().unwrap();
    assert!(matches!(error, EngineError::CancelledQuery), "{error}");
}

#[tokio::test]
async fn a_query_vector_needs_a_length_and_the_right_dimensions() {
    let (engine, collection) = compass().await;
    let mut zero = by_vector([0.0; DIM]);
    let error = engine
        .search(&collection, zero.clone())
        .await
        .err()
        .unwrap();
    assert!(matches!(error, EngineError::NoDirection { .. }), "{error}");
    zero.parts = vec![part(Content::Vector(vec![1.0; DIM + 1]), 1.0)];
    let error = engine.search(&collection, zero).await.err().unwrap();
    assert!(
        matches!(
            error,
            EngineError::WrongDimension {
                got: 5,
                wanted: DIM,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn texts_need_a_model() {
    let (engine, collection) = compass().await;
    let mut text = query(Mode::Vector);
    text.parts = vec![part(Content::Text("wind".to_owned()), 1.0)];
    let error = engine.search(&collection, text).await.err().unwrap();
    assert!(
        matches!(error, EngineError::CollectionWithoutModel(_)),
        "{error}"
    );
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_refused() {
    let (engine, collection) = compass().await;
    let mut browse = query(Mode::Browse);
    browse.filter = Some(json!({"$nothing": 1}));
    let error = engine.search(&collection, browse).await.err().unwrap();
    assert!(matches!(error, EngineError::Filter(_)), "{error}");
}

#[tokio::test]
async fn highlights_and_vectors_come_when_asked_for() {
    let (engine, collection) = compass().await;
    let mut shown = by_keywords("rain");
    shown.highlight = true;
    shown.with_vectors = true;
    let answer = engine.search(&collection, shown).await.unwrap();
    for hit in &answer.hits {
        let highlights = hit.highlights.as_ref().unwrap();
        assert!(
            highlights["text"][0].contains("<mark>rain</mark>"),
            "{highlights:?}"
        );
        assert_eq!(hit.vectors.len(), 1);
    }
}

/// Eighty texts in one direction and one in another, with a rare word.
async fn haystack() -> (TestEngine, Arc<Collection>) {
    let engine = TestEngine::open();
    let collection = engine.make("haystack").await;
    let mut documents: Vec<_> = (0..80)
        .map(|number| {
            let near_east = [0.05, 1.0, 0.001 * number as f32, 0.0];
            with_text(&format!("hay-{number}"), "dry grass", near_east)
                .with_metadata(json!({"colour": "yellow", "n": number}))
        })
        .collect();
    documents.push(
        with_text("needle", "a steel needle", NORTH)
            .with_metadata(json!({"colour": "grey", "n": 100})),
    );
    engine.store(&collection, documents).await;
    (engine, collection)
}

fn cut_at(least: f32) -> Cut {
    Cut { least, auto: false }
}

const AUTO: Cut = Cut {
    least: 0.0,
    auto: true,
};

#[tokio::test]
async fn a_hit_far_from_all_others_is_surer_than_they_are() {
    let (engine, collection) = haystack().await;
    let answer = engine.search(&collection, by_vector(NORTH)).await.unwrap();
    let sure: Vec<f64> = answer
        .hits
        .iter()
        .map(|hit| hit.confidence.unwrap())
        .collect();
    assert!(sure[0] > 0.5 && sure[1] < 0.01, "{sure:?}");
    assert!(!answer.no_match);
}

#[tokio::test]
async fn what_is_not_sure_enough_is_in_no_total_facet_order_or_group() {
    let (engine, collection) = haystack().await;
    for cut in [cut_at(0.2), AUTO] {
        let mut by_number = by_vector(NORTH);
        by_number.cut = cut;
        by_number.view.order = Order::default().descending("n");
        let grouped = Query {
            view: View {
                group_by: Some(GroupBy {
                    field: "colour".to_owned(),
                    limit: 1,
                }),
                facets: vec![("colour".to_owned(), 10)],
                ..View::default()
            },
            cut,
            ..by_vector(NORTH)
        };
        for query in [by_number, grouped] {
            let answer = engine.search(&collection, query).await.unwrap();
            assert_eq!(ids(&answer), ["needle"], "{cut:?}");
            assert_eq!((answer.total, answer.total_kind), (1, TotalKind::Exact));
            for (_, facet) in &answer.facets {
                assert_eq!(facet.values, [(json!("grey"), 1)]);
            }
        }
    }
}

#[tokio::test]
async fn nothing_matches_a_query_that_is_near_to_nothing() {
    let (engine, collection) = haystack().await;
    let up = [0.0, 0.05, 0.0, 1.0];
    let found = |cut| {
        let query = Query {
            cut,
            ..by_vector(up)
        };
        engine.search(&collection, query)
    };
    let all = found(Cut::default()).await.unwrap();
    assert_eq!((all.total, all.no_match), (81, false));
    for cut in [AUTO, cut_at(0.5)] {
        let none = found(cut).await.unwrap();
        assert_eq!((none.hits.len(), none.total, none.no_match), (0, 0, true));
    }
}

#[tokio::test]
async fn an_exact_rare_word_is_sure() {
    let (engine, collection) = haystack().await;
    let answer = engine
        .search(&collection, by_keywords("needle"))
        .await
        .unwrap();
    assert!(answer.hits[0].confidence.unwrap() > 0.9);
    let both = Query {
        cut: cut_at(0.9),
        ..by_keywords("needle thread")
    };
    let answer = engine.search(&collection, both).await.unwrap();
    assert!(answer.no_match, "no text has the second word");
}

#[tokio::test]
async fn the_confidence_of_words_does_not_depend_on_the_page() {
    let (engine, collection) = haystack().await;
    let confidence = |limit, offset| {
        let query = Query {
            limit,
            offset,
            ..by_keywords("grass")
        };
        let answer = engine.search(&collection, query);
        async move { answer.await.unwrap().hits[0].confidence.unwrap() }
    };
    let sure = confidence(1, 0).await;
    for (limit, offset) in [(10, 0), (1000, 0), (1, 50)] {
        assert_eq!(
            confidence(limit, offset).await,
            sure,
            "{limit} from {offset}"
        );
    }
}

#[tokio::test]
async fn a_filter_does_not_decide_whether_anything_matches() {
    let (engine, collection) = haystack().await;
    let among = |filter: Value, east: f32, cut: Cut| {
        let query = Query {
            filter: Some(filter),
            cut,
            ..by_vector([1.0, east, 0.0, 0.0])
        };
        engine.search(&collection, query)
    };
    let hay = json!({"colour": "yellow"});
    // A query to which the hay alone would be too little of a match.
    let mut found = None;
    for step in 0..200 {
        let east = 0.01 * step as f32;
        let answer = among(hay.clone(), east, Cut::default()).await.unwrap();
        if (0.012..0.023).contains(&answer.hits[0].confidence.unwrap()) {
            found = Some(east);
        }
    }
    let east = found.expect("some direction between needle and hay");
    let all = among(json!({}), east, AUTO).await.unwrap();
    assert_eq!(ids(&all)[0], "needle");
    let some = among(hay, east, AUTO).await.unwrap();
    assert!(
        some.total > 0 && !some.no_match,
        "they are hits without the filter"
    );
    let none = among(json!({"colour": "blue"}), east, AUTO).await.unwrap();
    assert!(!none.no_match, "no document passes the filter");
}

#[tokio::test]
async fn an_equal_vector_matches_in_few_dimensions() {
    let (engine, collection) = compass().await;
    let query = Query {
        cut: AUTO,
        ..by_vector(EAST)
    };
    let answer = engine.search(&collection, query).await.unwrap();
    assert_eq!(ids(&answer)[0], "east");
    assert!(answer.hits[0].confidence.unwrap() > 0.9);
}
