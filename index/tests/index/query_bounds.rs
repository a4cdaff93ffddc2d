//! Limits of queries and of their cost.

use std::time::{Duration, Instant};

use clipdb_index::{
    CollectionIndex, Fields, Filter, IndexError, KeywordHits, KeywordQuery, QueryTooLarge,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Truth, metadata, open, written};

struct Shelf {
    index: CollectionIndex,
    _dir: TempDir,
}

fn shelf() -> Shelf {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path());
    let documents = (0..20)
        .map(|row| {
            let text = format!("the potato number{row} of many, w{row} word");
            written(row, &text, json!({"name": format!("n{row}"), "$type": "t"}))
        })
        .collect();
    Truth::default().write(&index, &[], documents, 1);
    Shelf { index, _dir: dir }
}

impl Shelf {
    fn ask(&self, query: &KeywordQuery) -> Result<KeywordHits, IndexError> {
        let begun = Instant::now();
        let found = self.index.keyword(query, 10, None);
        // Refused or not: far below the time for a megabyte of words.
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
        found
    }

    fn refusal(&self, query: &str) -> QueryTooLarge {
        match self.ask(&KeywordQuery::parse(query)) {
            Err(IndexError::QueryTooLarge(reason)) => reason,
            other => panic!("{query:.60}: {other:?}"),
        }
    }
}

fn many(count: usize, word: impl Fn(usize) -> String) -> String {
    (0..count).map(|n| word(n) + " ").collect()
}

#[test]
fn a_query_beyond_a_limit_is_refused() {
    let shelf = shelf();
    let megabyte = many(150_000, |n| format!("w{n}"));
    assert_eq!(
        shelf.refusal(&megabyte),
        QueryTooLarge::Bytes(megabyte.len())
    );
    let cases = [
        (
            many(2000, |n| format!("w{n}")),
            QueryTooLarge::Clauses(2000),
        ),
        (
            many(2000, |n| format!("+w{n}")),
            QueryTooLarge::Clauses(2000),
        ),
        (
            many(2000, |n| format!("-w{n}")),
            QueryTooLarge::Clauses(2000),
        ),
        (
            many(1500, |n| format!("name:n{n}")),
            QueryTooLarge::Clauses(1500),
        ),
        (
            many(500, |n| format!("a{n}*")),
            QueryTooLarge::Prefixes(500),
        ),
        (
            many(200, |n| format!("\"potato number{n}\"")),
            QueryTooLarge::Phrases,
        ),
        (
            many(200, |n| format!("+potato-number{n}")),
            QueryTooLarge::Phrases,
        ),
        (many(200, |n| format!("name:a-{n}")), QueryTooLarge::Phrases),
        (
            format!("\"{}\"", many(3000, |n| format!("w{n}"))),
            QueryTooLarge::Words,
        ),
        (
            many(3000, |n| format!("w{n}")).replace(' ', "_"),
            QueryTooLarge::Words,
        ),
        ("界".repeat(2000), QueryTooLarge::Words),
    ];
    for (query, reason) in cases {
        assert_eq!(shelf.refusal(&query), reason, "{query:.60}");
        let matching = shelf
            .index
            .matching(&KeywordQuery::parse(&query), None, None);
        assert!(matches!(matching, Err(IndexError::QueryTooLarge(_))));
    }
}

#[test]
fn a_query_within_the_limits_is_answered() {
    let shelf = shelf();
    for query in [
        many(1000, |n| format!("w{n}")),
        many(60, |n| format!("w{n}*")),
        many(100, |n| format!("\"potato number{n}\"")),
        many(1000, |n| format!("name:n{n}")),
        "a-b".repeat(300),
        format!("potato {}", "界".repeat(900)),
        "\u{e01}".repeat(900),
    ] {
        shelf.ask(&KeywordQuery::parse(&query)).unwrap();
    }
    let negatives = shelf.ask(&KeywordQuery::parse(&many(1000, |n| format!("-x{n}"))));
    assert_eq!(negatives.unwrap().total, 20);
}

#[test]
fn the_rarest_of_many_words_count() {
    let shelf = shelf();
    // "word" is in every document; the other words are unknown or rare.
    let query = format!("word {} w3", many(300, |n| format!("w{}", n + 100)));
    let found = shelf.ask(&KeywordQuery::parse(&query)).unwrap();
    assert_eq!(found.hits[0].row.0, 3);
    let sentence = format!("{} w7", many(900, |n| format!("filler{n}")));
    let found = shelf.ask(&KeywordQuery::plain(&sentence)).unwrap();
    assert_eq!(found.hits[0].row.0, 7);
}

#[test]
fn a_sentence_may_have_any_length() {
    let shelf = shelf();
    for sentence in [
        many(200_000, |n| format!("w{n}")),
        many(100_000, |n| format!("+w{n}*")),
        "w3 ".repeat(400_000),
        "é".repeat(500_000),
        "x".repeat(1 << 20),
        "a-".repeat(500_000),
        "界".repeat(300_000),
        "ข้าว".repeat(100_000),
        "👍🏽".repeat(100_000),
    ] {
        shelf.ask(&KeywordQuery::plain(&sentence)).unwrap();
    }
    let found = shelf
        .ask(&KeywordQuery::plain(&format!(
            "w3 {}",
            many(200_000, |n| format!("w{}", n + 100))
        )))
        .unwrap();
    assert_eq!(found.hits[0].row.0, 3);
}

#[test]
fn highlights_of_huge_texts_are_bounded() {
    let shelf = shelf();
    let query = many(60, |n| format!("pot{n}*")) + &many(100, |n| format!("\"a a a a a{n}\""));
    let found = shelf
        .ask(&KeywordQuery::parse(&format!("potato {query}")))
        .unwrap();
    let nothing = metadata(json!({}));
    for text in [
        "a ".repeat(4 << 20),
        "potato ".repeat(1 << 20),
        "x".repeat(8 << 20),
    ] {
        let begun = Instant::now();
        found.highlighter.highlight(Some(&text), &nothing);
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
    }
    let end = format!("{}potato", "lorem ".repeat(20_000));
    let marked = |hits: usize| {
        let highlighter = found.highlighter.clone().for_hits(hits);
        !highlighter.highlight(Some(&end), &nothing).is_empty()
    };
    assert!(marked(10), "within the first MiB");
    assert!(
        !marked(1000),
        "of a thousand hits the first 64 KiB are looked at"
    );
}

#[test]
fn a_filter_has_limits() {
    let parse = |filter: Value| Filter::parse(&filter, &Fields::default());
    let refused = |filter: Value, words: &str| {
        let error = parse(filter).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    let list = |count: usize, filter: Value| vec![filter; count];
    refused(
        json!({"a": {"$in": list(1_000_000, json!(1))}}),
        "65536 values",
    );
    refused(json!({"$and": list(100_000, json!({}))}), "4096 filters");
    refused(
        json!({"$and": list(2000, json!({"a": 1}))}),
        "1024 conditions",
    );
    refused(
        json!({"$or": list(100, json!({"a": {"$contains": "x"}}))}),
        "64 of $contains",
    );
    refused(json!({"x".repeat(2000): 1}), "1024 bytes");
    parse(json!({"$or": list(1024, json!({"a": 1}))})).unwrap();
    parse(json!({"$or": list(64, json!({"a": {"$contains": "x"}}))})).unwrap();
}

#[test]
fn existing_names_that_begin_with_a_dollar_are_fields() {
    let shelf = shelf();
    let fields = Fields::default();
    let is_field = |path: &str| shelf.index.has_field(path).unwrap();
    let count = |filter: Value| {
        let filter = Filter::parse_where(&filter, &fields, &is_field).unwrap();
        shelf.index.select(&filter).unwrap().len()
    };
    assert_eq!(count(json!({"$type": "t"})), 20);
    assert_eq!(count(json!({"$$type": "t"})), 20);
    assert_eq!(count(json!({"$type": {"$ne": "t"}})), 0);
    assert_eq!(count(json!({"$$none": null})), 20);
    assert_eq!(
        count(json!({"$$id": {"$exists": true}})),
        0,
        "the field, not the document's id"
    );
    assert_eq!(count(json!({"$id": "d3"})), 1);
    for unknown in [
        json!({"$none": 1}),
        json!({"$nor": [{}]}),
        json!({"$gt": 1}),
        json!({"name": {"$type": "t"}}),
    ] {
        assert!(
            Filter::parse_where(&unknown, &fields, &is_field).is_err(),
            "{unknown}"
        );
    }
    let facets = |name: &str| {
        let counted = shelf.index.facets(None, &[(name.to_owned(), 5)]).unwrap();
        counted.facets[0].values.clone()
    };
    assert_eq!(facets("$type"), [(json!("t"), 20)]);
    assert_eq!(facets("$$type"), [(json!("t"), 20)]);
    assert_eq!(facets("$$id"), []);
}
