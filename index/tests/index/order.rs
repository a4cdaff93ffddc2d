//! Sorting by fields in pages, facets, groups.

use std::cmp::Ordering;

use clipdb_index::{Facet, Fields, Filter, Order, OwnedRow, Point, RowId, RowSet, SortKey};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{open, written};

/// The value by which a document is sorted: the one that ranks it higher.
fn key(metadata: &Value, descending: bool) -> Option<Value> {
    let values: Vec<Value> = match metadata {
        Value::Array(values) => values.clone(),
        Value::Null => Vec::new(),
        value => vec![value.clone()],
    };
    let values = values.into_iter().filter(|value| !value.is_null());
    if descending {
        values.max_by(compare)
    } else {
        values.min_by(compare)
    }
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => 0,
        Value::Number(_) => 1,
        _ => 2,
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    kind(a).cmp(&kind(b)).then_with(|| match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (a, b) => a.as_f64().unwrap().total_cmp(&b.as_f64().unwrap()),
    })
}

fn expected(rows: &[OwnedRow], by: &[(&str, bool)]) -> Vec<u64> {
    let mut rows: Vec<&OwnedRow> = rows.iter().collect();
    rows.sort_by(|a, b| {
        for (field, descending) in by {
            let value = |row: &OwnedRow| {
                key(
                    row.metadata.get(*field).unwrap_or(&Value::Null),
                    *descending,
                )
            };
            let order = match (value(a), value(b)) {
                (Some(a), Some(b)) if *descending => compare(&b, &a),
                (Some(a), Some(b)) => compare(&a, &b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            };
            if order.is_ne() {
                return order;
            }
        }
        a.document.cmp(&b.document)
    });
    rows.iter().map(|row| row.id.0).collect()
}

fn value() -> impl Strategy<Value = Value> {
    let one = prop_oneof![
        4 => (-3i64..4).prop_map(Value::from),
        1 => (-4i64..4).prop_map(|n| json!(n as f64 / 2.0 + 0.25)),
        2 => "[ab]{0,2}".prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    prop_oneof![
        4 => one.clone(),
        1 => prop::collection::vec(one, 0..3).prop_map(Value::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 100, ..ProptestConfig::default() })]

    /// Several segments with deletions: the complete order in pages of any size.
    #[test]
    fn pages_join_to_the_whole_order(
        groups in prop::collection::vec(prop::collection::vec((prop::option::of(value()), prop::option::of(value())), 1..12), 1..4),
        deleted in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        directions in any::<(bool, bool)>(),
        page in 1usize..6,
    ) {
        let dir = TempDir::new().unwrap();
        let (index, _) = open(dir.path());
        let mut rows: Vec<OwnedRow> = Vec::new();
        for (sequence, group) in groups.into_iter().enumerate() {
            let from = rows.len();
            for (a, b) in group {
                // Ids in another order than rows.
                let row = rows.len() as u64;
                let mut fields = json!({});
                if let Some(a) = a { fields["a"] = a; }
                if let Some(b) = b { fields["b"] = b; }
                let mut written = written(row, "text", fields);
                written.document = format!("d{}", (row * 7) % 50);
                rows.push(written);
            }
            let added: Vec<_> = rows[from..].iter().map(OwnedRow::as_row).collect();
            index.apply(&[], &added, sequence as u64 + 1).unwrap();
        }
        let gone: Vec<RowId> = deleted.iter().map(|at| rows[at.index(rows.len())].id).collect();
        index.apply(&gone, &[], 99).unwrap();
        rows.retain(|row| !gone.contains(&row.id));
        let order = [("a", directions.0), ("b", directions.1)].into_iter().fold(
            Order::default(),
            |order, (path, descending)| if descending { order.descending(path) } else { order.ascending(path) },
        );
        let expected = expected(&rows, &[("a", directions.0), ("b", directions.1)]);
        let all: RowSet = rows.iter().map(|row| row.id).collect();
        for set in [None, Some(&all)] {
            let mut found = Vec::new();
            let mut after: Option<SortKey> = None;
            loop {
                let ordered = index.ordered(set, &order, after.as_ref(), page).unwrap();
                let Some(last) = ordered.last() else { break };
                // As in a cursor.
                let key = serde_json::to_string(&last.key).unwrap();
                after = Some(serde_json::from_str(&key).unwrap());
                prop_assert!(order.knows(&last.key));
                found.extend(ordered.iter().map(|ordered| ordered.row.0));
            }
            prop_assert_eq!(&found, &expected);
        }
    }
}

/// The expected result of [`CollectionIndex::facets`], computed from the documents.
fn counted(rows: &[&OwnedRow], field: &str, limit: usize) -> Facet {
    let mut counts: Vec<(Value, u64)> = Vec::new();
    for row in rows {
        let mut seen: Vec<Value> = Vec::new();
        let values = match row.metadata.get(field) {
            None => Vec::new(),
            Some(Value::Array(values)) => values.clone(),
            Some(value) => vec![value.clone()],
        };
        for value in values {
            if value.is_null() || seen.iter().any(|other| compare(other, &value).is_eq()) {
                continue;
            }
            match counts
                .iter_mut()
                .find(|(of, _)| compare(of, &value).is_eq())
            {
                Some((_, count)) => *count += 1,
                None => counts.push((value.clone(), 1)),
            }
            seen.push(value);
        }
    }
    counts.sort_by(|(a, _), (b, _)| compare(a, b));
    let mut numbers = counts
        .iter()
        .map(|(value, _)| value)
        .filter(|v| v.is_number());
    let least = numbers.next().cloned();
    let most = numbers.next_back().or(least.as_ref()).cloned();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(limit);
    Facet {
        values: counts,
        numbers: least.zip(most),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 100, ..ProptestConfig::default() })]

    /// Several segments with deletions; all, many and few rows.
    #[test]
    fn facets_count_what_a_reading_of_the_documents_counts(
        groups in prop::collection::vec(prop::collection::vec(prop::option::of(value()), 1..60), 1..4),
        deleted in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        few in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        limit in 0usize..8,
    ) {
        let dir = TempDir::new().unwrap();
        let (index, _) = open(dir.path());
        let mut rows: Vec<OwnedRow> = Vec::new();
        for (sequence, group) in groups.into_iter().enumerate() {
            let from = rows.len();
            for value in group {
                let row = rows.len() as u64;
                // Every row has a unique value in "own", and its value in "v".
                let mut fields = json!({"own": row});
                if let Some(value) = value { fields["v"] = value; }
                rows.push(written(row, "text", fields));
            }
            let added: Vec<_> = rows[from..].iter().map(OwnedRow::as_row).collect();
            index.apply(&[], &added, sequence as u64 + 1).unwrap();
        }
        let gone: Vec<RowId> = deleted.iter().map(|at| rows[at.index(rows.len())].id).collect();
        let few: RowSet = few.iter().map(|at| rows[at.index(rows.len())].id).collect();
        let many: RowSet = rows.iter().map(|row| row.id).filter(|row| row.0 % 3 > 0).collect();
        index.apply(&gone, &[], 99).unwrap();
        rows.retain(|row| !gone.contains(&row.id));
        for set in [None, Some(&many), Some(&few)] {
            let within: Vec<&OwnedRow> = rows
                .iter()
                .filter(|row| set.is_none_or(|set| set.contains(row.id)))
                .collect();
            let fields = [("v".to_owned(), limit), ("own".to_owned(), limit)];
            let found = index.facets(set, &fields).unwrap();
            prop_assert_eq!(found.documents, within.len() as u64);
            for (facet, (field, limit)) in found.facets.iter().zip(&fields) {
                let expected = counted(&within, field, *limit);
                // 1 and 1.0 are one value, which is returned as an integer.
                prop_assert_eq!(shown(facet), shown(&expected), "{}", field);
            }
        }
    }
}

fn shown(facet: &Facet) -> String {
    let text = |value: &Value| match value.as_f64() {
        Some(number) => number.to_string(),
        None => value.to_string(),
    };
    let values = facet.values.iter().map(|(v, count)| (text(v), *count));
    let numbers = facet.numbers.as_ref();
    let numbers = numbers.map(|(least, most)| (text(least), text(most)));
    format!("{:?} {numbers:?}", values.collect::<Vec<_>>())
}

#[test]
fn a_sort_key_is_valid_after_its_document_is_removed() {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path());
    for row in 0..10 {
        let row = written(row, "", json!({"n": row / 2}));
        index.apply(&[], &[row.as_row()], row.id.0 + 1).unwrap();
    }
    let order = Order::default().descending("n");
    let first = index.ordered(None, &order, None, 3).unwrap();
    let rows = |ordered: &[clipdb_index::Ordered]| -> Vec<u64> {
        ordered.iter().map(|ordered| ordered.row.0).collect()
    };
    assert_eq!(rows(&first), [8, 9, 6]);
    let newer = written(10, "", json!({"n": 3}));
    index
        .apply(&[RowId(6), RowId(8)], &[newer.as_row()], 20)
        .unwrap();
    let rest = index
        .ordered(None, &order, Some(&first[2].key), 100)
        .unwrap();
    // The new document is "d10", before "d6".
    assert_eq!(rows(&rest), [7, 4, 5, 2, 3, 0, 1]);
}

#[test]
fn the_nearest_come_first() {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path());
    for (row, place) in (0..).zip([
        json!({"lat": 0, "lon": 3}),
        json!([{"lat": 0, "lon": 50}, {"lat": 0, "lon": 1}]),
        json!("nowhere"),
        json!({"lat": 0, "lon": -179}),
        json!({"lat": 0, "lon": 2}),
    ]) {
        let row = written(row, "", json!({"at": place}));
        index.apply(&[], &[row.as_row()], row.id.0 + 1).unwrap();
    }
    let order = Order::default().near("at", Point { lat: 0.0, lon: 0.0 });
    let ordered = index.ordered(None, &order, None, 10).unwrap();
    let rows: Vec<u64> = ordered.iter().map(|ordered| ordered.row.0).collect();
    assert_eq!(rows, [1, 4, 0, 3, 2]);
    assert!((ordered[0].key.distance_m().unwrap() - 111_195.0).abs() < 1.0);
    assert_eq!(ordered[4].key.distance_m(), None);
    let rest = index
        .ordered(None, &order, Some(&ordered[1].key), 10)
        .unwrap();
    assert_eq!(rest[0].row, RowId(0));
}

#[test]
fn values_are_counted_over_segments() {
    let dir = TempDir::new().unwrap();
    let (index, _) = open(dir.path());
    for (row, fields) in (0..).zip([
        json!({"t": ["a", "b", "a"], "n": 1}),
        json!({"t": "b", "n": 2.0}),
        json!({"t": ["c", 5, null, true], "n": 2}),
        json!({"n": 9_007_199_254_740_993u64}),
        json!({"t": "gone", "n": 2}),
    ]) {
        let row = written(row, "", fields);
        index.apply(&[], &[row.as_row()], row.id.0 + 1).unwrap();
    }
    index.apply(&[RowId(4)], &[], 9).unwrap();
    let fields = [
        ("t".to_owned(), 3),
        ("n".to_owned(), 10),
        ("none".to_owned(), 10),
    ];
    let counted = index.facets(None, &fields).unwrap();
    assert_eq!(counted.documents, 4);
    assert_eq!(
        counted.facets[0].values,
        [(json!("b"), 2), (json!(true), 1), (json!(5), 1)]
    );
    assert_eq!(
        counted.facets[1].values,
        [
            (json!(2), 2),
            (json!(1), 1),
            (json!(9_007_199_254_740_993u64), 1)
        ]
    );
    assert_eq!(
        counted.facets[1].numbers,
        Some((json!(1), json!(9_007_199_254_740_993u64)))
    );
    assert!(counted.facets[2].values.is_empty());
    let filter = Filter::parse(&json!({"n": {"$lt": 3}}), &Fields::default()).unwrap();
    let rows = index.select(&filter).unwrap();
    let counted = index.facets(Some(&rows), &fields).unwrap();
    assert_eq!(counted.documents, 3);
    assert_eq!(counted.facets[1].values, [(json!(2), 2), (json!(1), 1)]);
    let groups = index.groups(&rows, "t").unwrap();
    let value = |row| groups[&RowId(row)].value();
    assert_eq!(
        (value(0), value(1), value(2)),
        (json!("a"), json!("b"), json!(true))
    );
    let of = |row| {
        let rows = index.rows_of_groups("t", [&groups[&RowId(row)]].into_iter());
        rows.unwrap().iter().map(|row| row.0).collect::<Vec<_>>()
    };
    assert_eq!((of(0), of(1), of(2)), (vec![0], vec![1], vec![2]));
}
