//! Keyword search: which words find which documents, and that no query is a syntax error.

use std::collections::BTreeMap;

use crate::support::{Truth, open, written};
use clipdb_index::{CollectionIndex, KeywordQuery, RowId};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

struct Shelf {
    index: CollectionIndex,
    _dir: TempDir,
}

fn shelf() -> Shelf {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path());
    let documents = vec![
        written(1, "A happy potato sits in the garden.", json!({})),
        written(
            2,
            "Elizabeth's sisters were running to the café",
            json!({"year": 2024, "tags": ["cat", "indoor"]}),
        ),
        written(
            3,
            "",
            json!({"name": "Espresso machine AB-1234", "place": {"city": "Lyon"}, "open": true}),
        ),
        written(
            4,
            "Machine parts: AB and, elsewhere, 1234.",
            json!({"year": 1999.5, "when": "2024-05-01T10:00:00Z"}),
        ),
        written(
            5,
            "The Who; to be or not to be",
            json!({"place.city": "Paris"}),
        ),
        written(
            6,
            "我喜歡土豆",
            json!({"deep": [{"a": [{"b": "submarine"}]}]}),
        ),
        written(
            7,
            "It is a truth universally acknowledged, that a single man",
            json!({}),
        ),
    ];
    Truth::default().write(&index, &[], documents, 1);
    Shelf { index, _dir: dir }
}

impl Shelf {
    fn find(&self, query: &str) -> Vec<u64> {
        let found = self
            .index
            .keyword(&KeywordQuery::parse(query), 20, None)
            .unwrap();
        assert_eq!(found.total, found.hits.len());
        found.hits.iter().map(|hit| hit.row.0).collect()
    }
}

#[test]
fn words_match_by_stem_without_case_and_accents() {
    let shelf = shelf();
    assert_eq!(shelf.find("POTATOES"), [1]);
    assert_eq!(shelf.find("runs"), [2]);
    assert_eq!(shelf.find("cafe"), [2]);
    assert_eq!(shelf.find("elizabeth"), [2]);
    assert_eq!(shelf.find("土"), [6]);
}

#[test]
fn strings_anywhere_in_the_metadata_are_found() {
    let shelf = shelf();
    assert_eq!(shelf.find("indoor"), [2]);
    assert_eq!(shelf.find("lyon"), [3]);
    assert_eq!(shelf.find("submarine"), [6]);
    assert_eq!(shelf.find("2024"), [4], "only in strings, not in numbers");
}

#[test]
fn any_word_may_match_and_more_of_them_rank_higher() {
    let shelf = shelf();
    assert_eq!(shelf.find("espresso potato"), [1, 3]);
    assert_eq!(
        shelf.find("machine AB-1234"),
        [3, 4],
        "the whole code before its parts"
    );
}

#[test]
fn stop_words_count_only_in_queries_of_stop_words() {
    let shelf = shelf();
    assert_eq!(shelf.find("the potato of a man"), [1, 7]);
    // A clause without a word and the name of no field are no content.
    for query in [
        "who",
        "who -potato",
        "who \"…\"",
        "+\"\" who",
        "+-- who",
        "of:who",
    ] {
        assert_eq!(shelf.find(query), [5], "{query}");
    }
    assert_eq!(shelf.find("\"to be or not to be\""), [5]);
}

#[test]
fn phrases_keep_their_order() {
    let shelf = shelf();
    assert_eq!(shelf.find("\"happy potato\""), [1]);
    assert_eq!(shelf.find("\"potato happy\""), [] as [u64; 0]);
}

#[test]
fn required_and_excluded_clauses() {
    let shelf = shelf();
    assert_eq!(shelf.find("machine +espresso"), [3]);
    assert_eq!(shelf.find("machine -espresso"), [4]);
    assert_eq!(shelf.find("machine -\"machine parts\""), [3]);
    assert_eq!(shelf.find("+machine +potato"), [] as [u64; 0]);
    assert_eq!(shelf.find("-machine"), [1, 2, 5, 6, 7]);
    assert_eq!(shelf.find("+AB-1234"), [3]);
}

#[test]
fn fields_by_name_and_path() {
    let shelf = shelf();
    assert_eq!(shelf.find("tags:cats"), [2]);
    assert_eq!(shelf.find("place.city:lyon"), [3]);
    assert_eq!(shelf.find("place.city:paris"), [5]);
    assert_eq!(shelf.find("place.city:potato"), [] as [u64; 0]);
    assert_eq!(shelf.find("name:\"espresso machine\""), [3]);
    assert_eq!(shelf.find("year:2024"), [2]);
    assert_eq!(shelf.find("year:1999.5"), [4]);
    assert_eq!(shelf.find("open:true"), [3]);
    assert_eq!(
        shelf.find("when:2024"),
        [4],
        "a string that looks like a date is words"
    );
    assert_eq!(shelf.find("+year:2024 machine"), [2]);
    assert_eq!(shelf.find("machine -place.city:lyon"), [4]);
    assert_eq!(shelf.find("deep.a.b:submarine"), [6]);
}

#[test]
fn a_colon_that_names_no_field_is_punctuation() {
    let shelf = shelf();
    assert_eq!(shelf.find("remember:potato"), [1]);
    assert_eq!(shelf.find("note: potato"), [1]);
    assert_eq!(shelf.find("+remember:potato"), [] as [u64; 0]);
}

#[test]
fn a_sentence_is_never_an_error() {
    let shelf = shelf();
    for sentence in [
        "\"It is a truth (universally acknowledged",
        "what's: this? [potato TO] AND OR NOT",
        "potato^2 potato~3 /potato/ potato* *",
        "+ - \" : \\ ",
        "\"\"",
        "++potato",
        "a:b:c:d",
        "-",
        "+\"",
        "x:\"",
        "IN [a b] {1 TO 2}",
        "<script>alert('potato')</script>",
        "https://potato.example/a?b=c&d=e#f",
        "\u{0}\u{1}potato:\u{0}x",
        "🥔 potato",
        "field\u{1}:potato",
        ".:potato",
        "a..b:potato",
        "\\:potato",
        "a\\:b",
    ] {
        for query in [KeywordQuery::parse(sentence), KeywordQuery::plain(sentence)] {
            shelf.index.keyword(&query, 10, None).unwrap();
        }
    }
    let plain = shelf
        .index
        .keyword(
            &KeywordQuery::plain("happy -potato +zebra year:2024"),
            10,
            None,
        )
        .unwrap();
    assert_eq!(
        plain.hits[0].row,
        RowId(1),
        "signs of a plain sentence say nothing"
    );
}

#[test]
fn an_empty_query_finds_nothing() {
    let shelf = shelf();
    for query in ["", "   ", "!?…", "🥔", "-!?"] {
        let found = shelf
            .index
            .keyword(&KeywordQuery::parse(query), 10, None)
            .unwrap();
        assert_eq!((found.hits.len(), found.total), (0, 0), "{query}");
    }
}

#[test]
fn the_full_score_is_that_of_a_full_match() {
    let shelf = shelf();
    let found = shelf
        .index
        .keyword(&KeywordQuery::parse("happy potato"), 10, None)
        .unwrap();
    assert!(found.hits[0].score > 0.8 * found.full_score);
    let half = shelf
        .index
        .keyword(&KeywordQuery::parse("potato zebra"), 10, None)
        .unwrap();
    assert!(half.hits[0].score < 0.7 * half.full_score, "{half:?}");
}

#[test]
fn the_limit_cuts_hits_and_not_the_total() {
    let shelf = shelf();
    let query = KeywordQuery::parse("machine potato");
    for limit in [0, 1, 2] {
        let found = shelf.index.keyword(&query, limit, None).unwrap();
        assert_eq!((found.hits.len(), found.total), (limit, 3));
    }
}

#[test]
fn equal_scores_are_ordered_by_row_across_segments() {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path());
    let mut truth = Truth::default();
    for (sequence, row) in [5u64, 2, 9, 1, 7, 3].into_iter().enumerate() {
        truth.write(
            &index,
            &[],
            vec![written(row, "same words", json!({}))],
            sequence as u64,
        );
    }
    let rows = |limit| -> Vec<u64> {
        let found = index
            .keyword(&KeywordQuery::parse("same"), limit, None)
            .unwrap();
        found.hits.iter().map(|hit| hit.row.0).collect()
    };
    assert_eq!(rows(10), [1, 2, 3, 5, 7, 9]);
    assert_eq!(rows(3), [1, 2, 3]);
}

#[test]
fn unusual_metadata_is_indexed() {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path());
    let long = "x".repeat(70_000);
    let odd = json!({
        "": "emptykey", "nul\u{0}key": "nulkey", "sep\u{1}key": "sepkey", "null": null, "big": u64::MAX,
        "negative": -3, "nested": {"": {"": ["deepest"]}}, "long": long, "mixed": [1, "mixedword", true, null, {"a": []}],
    });
    let mut truth = Truth::default();
    truth.write(
        &index,
        &[],
        vec![written(1, &format!("{long} potato"), odd)],
        1,
    );
    let find = |query| {
        index
            .keyword(&KeywordQuery::parse(query), 10, None)
            .unwrap()
            .total
    };
    for query in [
        "potato",
        "emptykey",
        "nulkey",
        "sepkey",
        "deepest",
        "mixed:mixedword",
        "big:18446744073709551615",
        "negative:-3",
    ] {
        assert_eq!(find(query), 1, "{query}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn no_characters_upset_it(queries in proptest::collection::vec(r#"[a-c "+:\-.\\*~^()\[\]{}'’é土\x00-\x20]{0,24}|\PC{0,20}"#, 20)) {
        let shelf = shelf();
        for query in &queries {
            shelf.index.keyword(&KeywordQuery::parse(query), 5, None).unwrap();
            shelf.index.keyword(&KeywordQuery::plain(query), 5, None).unwrap();
        }
    }
}

#[test]
fn the_coverage_of_a_hit_is_the_part_of_the_words_that_it_contains() {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path());
    let long = format!("A red apple. {}", "And so on. ".repeat(300));
    let texts = [(1, "red apple"), (2, "red pear"), (3, long.as_str())];
    let written = texts.map(|(row, text)| written(row, text, json!({})));
    Truth::default().write(&index, &[], written.into(), 1);
    let coverage = |query: KeywordQuery| -> BTreeMap<u64, f32> {
        let found = index.keyword(&query, 20, None).unwrap();
        let rows = found.hits.iter().map(|hit| hit.row.0);
        rows.zip(found.coverage).collect()
    };
    let parts = coverage(KeywordQuery::plain("red apple"));
    assert_eq!(
        (parts[&1], parts[&3]),
        (1.0, 1.0),
        "whatever the length of the text"
    );
    assert!(parts[&2] < 0.5, "red is the more frequent word: {parts:?}");
    let unknown = coverage(KeywordQuery::plain("red xylophone"));
    assert!(
        unknown.values().all(|part| *part < 0.3),
        "an unknown word is the rarest: {unknown:?}"
    );
    let misspelt = coverage(KeywordQuery::plain("aple").with_typos(true));
    assert_eq!(misspelt, BTreeMap::from([(1, 0.8), (3, 0.8)]));
    let phrase = coverage(KeywordQuery::parse("\"red apple\""));
    assert_eq!(phrase, BTreeMap::from([(1, 1.0), (3, 1.0)]));
    // Other clauses count like words.
    for half in [
        "+apple xylophone",
        "\"red apple\" xylophone",
        "app* xylophone",
    ] {
        let found = coverage(KeywordQuery::parse(half));
        assert!(found[&1] > 0.15 && found[&1] < 0.6, "{half}: {found:?}");
    }
    let excluding = coverage(KeywordQuery::parse("-pear"));
    assert_eq!(excluding, BTreeMap::from([(1, 1.0), (3, 1.0)]));
}
