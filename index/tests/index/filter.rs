//! Filters: accepted documents, compared with an evaluation of each document's JSON; invalid filters.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use clipdb_index::{
    CollectionIndex, Configuration, FieldType, Fields, Filter, OwnedRow, Row, RowId, VectorKind,
};
use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};
use tempfile::TempDir;

use crate::support::{DIM, metadata, vector, written};

fn declared() -> Fields {
    [
        ("when".to_owned(), FieldType::Date),
        ("year".to_owned(), FieldType::Integer),
    ]
    .into_iter()
    .collect()
}

fn open_declared(dir: &TempDir) -> CollectionIndex {
    let configuration = Configuration {
        fields: declared(),
        ..Configuration::new(DIM)
    };
    CollectionIndex::open(dir.path(), &configuration).unwrap().0
}

fn passing(index: &CollectionIndex, filter: &Value) -> Vec<u64> {
    let filter = Filter::parse(filter, &declared()).unwrap();
    let rows = index.select(&filter).unwrap();
    let found: Vec<u64> = rows.iter().map(|row| row.0).collect();
    assert_eq!(rows.len(), found.len());
    found
}

/// Evaluates a filter on the JSON of a document.
mod naive {
    use super::*;

    pub fn passes(row: &OwnedRow, filter: &Value) -> bool {
        let Value::Object(members) = filter else {
            panic!("{filter}")
        };
        members.iter().all(|(name, value)| match name.as_str() {
            "$and" => value.as_array().unwrap().iter().all(|f| passes(row, f)),
            "$or" => value.as_array().unwrap().iter().any(|f| passes(row, f)),
            "$not" => !passes(row, value),
            "$text" => value.as_bool().unwrap() == row.text.is_some(),
            "$image" => {
                let has = row.vectors.iter().any(|(k, _)| *k == VectorKind::Image);
                value.as_bool().unwrap() == has
            }
            "$id" => field(
                &[Seen::One(Value::String(row.document.clone()))],
                value,
                false,
            ),
            path => {
                let mut seen = BTreeMap::new();
                walk("", &Value::Object(row.metadata.clone()), &mut seen, true);
                field(
                    seen.get(path).map_or(&[], Vec::as_slice),
                    value,
                    path == "when",
                )
            }
        })
    }

    #[derive(Debug, Clone)]
    pub enum Seen {
        Null,
        Array,
        Object,
        One(Value),
    }

    fn walk(at: &str, value: &Value, seen: &mut BTreeMap<String, Vec<Seen>>, root: bool) {
        let mut see = |what| seen.entry(at.to_owned()).or_default().push(what);
        match value {
            Value::Null => see(Seen::Null),
            Value::Array(values) => {
                see(Seen::Array);
                values.iter().for_each(|value| walk(at, value, seen, false));
            }
            Value::Object(object) => {
                if !root {
                    see(Seen::Object);
                }
                for (name, value) in object {
                    let path = if at.is_empty() {
                        name.clone()
                    } else {
                        format!("{at}.{name}")
                    };
                    walk(&path, value, seen, false);
                }
            }
            value => see(Seen::One(value.clone())),
        }
    }

    fn field(seen: &[Seen], condition: &Value, date: bool) -> bool {
        let null = || seen.is_empty() || seen.iter().any(|s| matches!(s, Seen::Null));
        let values = || {
            seen.iter().filter_map(|s| match s {
                Seen::One(value) => Some(value),
                _ => None,
            })
        };
        let equals = |wanted: &Value| {
            if wanted.is_null() {
                null()
            } else {
                values().any(|v| compare(v, wanted, date) == Some(Ordering::Equal))
            }
        };
        let Value::Object(operators) = condition else {
            return equals(condition);
        };
        let interval: Vec<(&String, &Value)> = operators
            .iter()
            .filter(|(name, _)| matches!(name.as_str(), "$gt" | "$gte" | "$lt" | "$lte"))
            .collect();
        let within = |value: &Value| {
            interval.iter().all(|(name, bound)| {
                let Some(order) = compare(value, bound, date) else {
                    return false;
                };
                match name.as_str() {
                    "$gt" => order.is_gt(),
                    "$gte" => order.is_ge(),
                    "$lt" => order.is_lt(),
                    _ => order.is_le(),
                }
            })
        };
        (interval.is_empty() || values().any(within))
            && operators.iter().all(|(name, operand)| match name.as_str() {
                "$gt" | "$gte" | "$lt" | "$lte" => true,
                "$eq" => equals(operand),
                "$ne" => !equals(operand),
                "$in" => operand.as_array().unwrap().iter().any(equals),
                "$nin" => !operand.as_array().unwrap().iter().any(equals),
                "$exists" => operand.as_bool().unwrap() != seen.is_empty(),
                "$not" => !field(seen, operand, date),
                "$contains" => {
                    if seen.iter().any(|s| matches!(s, Seen::Array)) {
                        equals(operand)
                    } else {
                        !date
                            && operand.as_str().is_some_and(|part| {
                                values().any(|v| v.as_str().is_some_and(|v| v.contains(part)))
                            })
                    }
                }
                other => panic!("{other}"),
            })
    }

    fn compare(a: &Value, b: &Value, date: bool) -> Option<Ordering> {
        match (a, b) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Number(a), Value::Number(b)) => Some(numbers(a, b)),
            (Value::String(a), Value::String(b)) if date => {
                // The dates of this test differ only in minutes and offsets.
                Some(minutes(a).cmp(&minutes(b)))
            }
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    fn minutes(date: &str) -> i64 {
        let hour: i64 = date[11..13].parse().unwrap();
        let minute: i64 = date[14..16].parse().unwrap();
        let offset: i64 = date[19..22].parse().unwrap();
        (hour - offset) * 60 + minute
    }

    fn whole(number: &Number) -> Option<i128> {
        number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
    }

    fn numbers(a: &Number, b: &Number) -> Ordering {
        match (whole(a), whole(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            (Some(a), None) => whole_and_float(a, b.as_f64().unwrap()),
            (None, Some(b)) => whole_and_float(b, a.as_f64().unwrap()).reverse(),
            (None, None) => a.as_f64().partial_cmp(&b.as_f64()).unwrap(),
        }
    }

    fn whole_and_float(whole: i128, float: f64) -> Ordering {
        let floor = float.floor();
        whole.cmp(&(floor as i128)).then(if float > floor {
            Ordering::Less
        } else {
            Ordering::Equal
        })
    }
}

const NAMES: [&str; 5] = ["a", "b", "a.b", "ü~\\", "tags"];

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3i64..4).prop_map(Value::from),
        (-6i64..7).prop_map(|n| json!(n as f64 / 2.0)),
        Just(json!(9_007_199_254_740_992u64)),
        Just(json!(9_007_199_254_740_993u64)),
        Just(json!(9_007_199_254_740_992f64)),
        Just(json!(u64::MAX)),
        Just(json!(18_446_744_073_709_551_616f64)),
        Just(json!(i64::MIN)),
        Just(json!(-9.3e18)),
        Just(json!(1e300)),
        Just(json!(5e-324)),
        Just(json!(-0.0)),
    ]
}

fn word() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        "",
        "x",
        "xy",
        "yx",
        "X",
        "é",
        "z\0",
        "2024",
        "true",
        "2024-05-01",
        "~n",
        "t",
        "\u{10ffff}",
    ])
    .prop_map(Value::from)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![2 => number(), 2 => word(), 1 => any::<bool>().prop_map(Value::from)]
}

fn date() -> impl Strategy<Value = Value> {
    (0u8..3, 0u8..3, -2i8..3).prop_map(|(hour, minute, offset)| {
        let sign = if offset < 0 { '-' } else { '+' };
        let offset = offset.abs();
        json!(format!(
            "2024-05-01T{:02}:{minute:02}:00{sign}{offset:02}:00",
            hour + 10
        ))
    })
}

fn document() -> impl Strategy<Value = (Map<String, Value>, bool, bool)> {
    let leaf = prop_oneof![4 => value(), 1 => Just(Value::Null)];
    let inner = leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(NAMES.to_vec()), inner), 0..3).prop_map(
                |members| Value::Object(
                    members
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect()
                )
            ),
        ]
    });
    let members = prop::collection::vec((prop::sample::select(NAMES.to_vec()), inner), 0..4);
    let when = prop::option::of(prop_oneof![
        date(),
        prop::collection::vec(date(), 0..3).prop_map(Value::from)
    ]);
    (members, when, any::<bool>(), any::<bool>()).prop_map(|(members, when, text, image)| {
        let mut metadata: Map<String, Value> = members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        metadata.extend(when.map(|when| ("when".to_owned(), when)));
        (metadata, text, image)
    })
}

fn interval(bound: impl Strategy<Value = Value> + Clone) -> impl Strategy<Value = Value> {
    let low = prop::option::of((prop::sample::select(vec!["$gt", "$gte"]), bound.clone()));
    let high = prop::option::of((prop::sample::select(vec!["$lt", "$lte"]), bound));
    (low, high).prop_map(|(low, high)| {
        let mut operators: Map<String, Value> = low
            .into_iter()
            .chain(high)
            .map(|(name, bound)| (name.to_owned(), bound))
            .collect();
        if operators.is_empty() {
            operators.insert("$exists".to_owned(), json!(true));
        }
        Value::Object(operators)
    })
}

fn operators(
    value: BoxedStrategy<Value>,
    ordered: Vec<BoxedStrategy<Value>>,
) -> BoxedStrategy<Value> {
    let or_null = prop_oneof![5 => value.clone(), 1 => Just(Value::Null)].boxed();
    let list = prop::collection::vec(or_null.clone(), 0..7).prop_map(Value::from);
    let intervals: Vec<BoxedStrategy<Value>> = ordered
        .into_iter()
        .map(|bound| interval(bound).boxed())
        .collect();
    let one = prop_oneof![
        2 => or_null.clone(),
        1 => (prop::sample::select(vec!["$eq", "$ne"]), or_null).prop_map(|(op, v)| json!({op: v})),
        2 => (prop::sample::select(vec!["$in", "$nin"]), list).prop_map(|(op, v)| json!({op: v})),
        1 => any::<bool>().prop_map(|there| json!({"$exists": there})),
        1 => value.prop_map(|v| json!({"$contains": v})),
        3 => prop::strategy::Union::new(intervals),
    ];
    one.prop_flat_map(|one| {
        let negated = if one.is_object() {
            json!({"$not": one})
        } else {
            json!({"$ne": one})
        };
        prop_oneof![4 => Just(one), 1 => Just(negated)]
    })
    .boxed()
}

fn filter() -> impl Strategy<Value = Value> {
    let path = prop::sample::select(vec![
        "a", "b", "a.b", "a.a", "b.a.b", "ü~\\", "tags", "tags.a", "a.b.b", "nowhere",
    ]);
    let undeclared = operators(value().boxed(), vec![number().boxed(), word().boxed()]);
    let dates = operators(date().boxed(), vec![date().boxed()]);
    let id = (0u64..30).prop_map(|row| json!(format!("d{row}"))).boxed();
    let ids = operators(id.clone(), vec![id]);
    let leaf = prop_oneof![
        8 => (path, undeclared).prop_map(|(path, test)| json!({path: test})),
        2 => dates.prop_map(|test| json!({"when": test})),
        1 => ids.prop_map(|test| json!({"$id": test})),
        1 => (prop::sample::select(vec!["$text", "$image"]), any::<bool>())
            .prop_map(|(name, there)| json!({name: there})),
        1 => Just(json!({})),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            (prop::sample::select(vec!["$and", "$or"]), list).prop_map(|(op, f)| json!({op: f})),
            inner.clone().prop_map(|f| json!({"$not": f})),
            (inner.clone(), inner).prop_map(|(one, other)| {
                let mut both = one.as_object().unwrap().clone();
                both.extend(other.as_object().unwrap().clone());
                Value::Object(both)
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 100, ..ProptestConfig::default() })]

    /// Several segments with deletions and any filter: exactly the documents whose JSON matches.
    #[test]
    fn passes_what_a_reading_of_the_documents_picks(
        groups in prop::collection::vec(prop::collection::vec(document(), 1..8), 1..4),
        deleted in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        filters in prop::collection::vec(filter(), 40),
    ) {
        let dir = TempDir::new().unwrap();
        let index = open_declared(&dir);
        let mut rows: Vec<OwnedRow> = Vec::new();
        for (sequence, group) in groups.into_iter().enumerate() {
            let from = rows.len();
            for (metadata, text, image) in group {
                let row = rows.len() as u64;
                let kind = if image { VectorKind::Image } else { VectorKind::Text };
                rows.push(OwnedRow {
                    id: RowId(row),
                    document: format!("d{row}"),
                    text: text.then(|| "text".to_owned()),
                    metadata,
                    vectors: vec![(kind, vector(row, kind))],
                });
            }
            let added: Vec<Row<'_>> = rows[from..].iter().map(OwnedRow::as_row).collect();
            index.apply(&[], &added, sequence as u64 + 1).unwrap();
        }
        let gone: Vec<RowId> = deleted.iter().map(|at| rows[at.index(rows.len())].id).collect();
        index.apply(&gone, &[], 99).unwrap();
        rows.retain(|row| !gone.contains(&row.id));
        for filter in filters {
            let expected: Vec<u64> = rows
                .iter()
                .filter(|row| naive::passes(row, &filter))
                .map(|row| row.id.0)
                .collect();
            prop_assert_eq!(passing(&index, &filter), expected, "{}", filter);
        }
    }
}

/// More documents in one segment than a scan reads at a time: without values, with one and with
/// several.
#[test]
fn scans_cover_all_blocks() {
    let fields = |row: u64| {
        let mut fields = json!({"all": row % 7, "tags": [row % 5, row % 3]});
        if row.is_multiple_of(4) {
            fields["some"] = json!(row % 11);
        }
        if row % 9 < 2 {
            fields["lists"] = json!((0..row % 6).map(|n| n + row % 2).collect::<Vec<_>>());
        }
        fields
    };
    let dir = TempDir::new().unwrap();
    let index = open_declared(&dir);
    let mut rows: Vec<OwnedRow> = (0..10_000)
        .map(|row| written(row, "", fields(row)))
        .collect();
    let added: Vec<Row<'_>> = rows.iter().map(OwnedRow::as_row).collect();
    index.apply(&[], &added, 1).unwrap();
    let gone: Vec<RowId> = (0..10_000).step_by(13).map(RowId).collect();
    index.apply(&gone, &[], 2).unwrap();
    rows.retain(|row| row.id.0 % 13 > 0);
    for filter in [
        json!({"all": 3}),
        json!({"all": {"$in": [0, 1, 3, 5, 6]}}),
        json!({"all": {"$in": [0, 2, 4, 6]}}),
        json!({"some": 10}),
        json!({"some": {"$in": [0, 2, 4, 6, 8, 10]}}),
        json!({"some": {"$exists": false}}),
        json!({"tags": 4}),
        json!({"tags": {"$gt": 2}}),
        json!({"tags": {"$nin": [2, 4]}}),
        json!({"lists": {"$exists": true}}),
        json!({"lists": 5}),
        json!({"lists": {"$contains": 2}, "all": {"$ne": 1}}),
        json!({"$or": [{"some": 7}, {"$not": {"lists": {"$in": [0, 3, 6]}}}]}),
    ] {
        let expected: Vec<u64> = rows
            .iter()
            .filter(|row| naive::passes(row, &filter))
            .map(|row| row.id.0)
            .collect();
        assert_eq!(passing(&index, &filter), expected, "{filter}");
    }
}

fn filled(documents: &[Value]) -> (TempDir, CollectionIndex) {
    let dir = TempDir::new().unwrap();
    let index = open_declared(&dir);
    for (row, document) in (0..).zip(documents) {
        let row = written(row, "text", document.clone());
        index.apply(&[], &[row.as_row()], row.id.0 + 1).unwrap();
    }
    (dir, index)
}

#[test]
fn long_strings_are_distinguished() {
    let long = "x".repeat(100_000);
    let (_dir, index) = filled(&[
        json!({"a": format!("{long}1")}),
        json!({"a": format!("{long}2")}),
        json!({"a": long}),
        json!({"a": "x".repeat(20_000)}),
    ]);
    assert_eq!(passing(&index, &json!({"a": format!("{long}1")})), [0]);
    assert_eq!(passing(&index, &json!({"a": long})), [2]);
    assert_eq!(passing(&index, &json!({"a": {"$gt": "x"}})), [0, 1, 2, 3]);
    assert_eq!(passing(&index, &json!({"a": {"$lt": "y"}})), [0, 1, 2, 3]);
    assert_eq!(
        passing(&index, &json!({"a": {"$contains": "xx"}})),
        [0, 1, 2, 3]
    );
}

#[test]
fn points_are_found_by_distance_and_box() {
    let (_dir, index) = filled(&[
        json!({"place": {"lat": 48.8566, "lon": 2.3522, "city": "Paris"}}),
        json!({"place": {"lat": 45.7640, "lon": 4.8357, "city": "Lyon"}}),
        json!({"place": [{"lat": -17.7, "lon": 178.0}, {"lat": 45.8, "lon": 4.8}]}),
        json!({"place": {"lat": 100, "lon": 0}}),
        json!({"place": "nowhere"}),
        json!({}),
    ]);
    let within = |lat: f64, lon: f64, radius_m: f64| {
        passing(
            &index,
            &json!({"place": {"$geo_radius": {"lat": lat, "lon": lon, "radius_m": radius_m}}}),
        )
    };
    assert_eq!(within(45.76, 4.83, 10_000.0), [1, 2]);
    assert_eq!(within(45.764, 4.8357, 0.0), [1]);
    assert_eq!(within(45.76, 4.83, 400_000.0), [0, 1, 2]);
    assert_eq!(within(-17.7, -178.0, 500_000.0), [2]);
    assert_eq!(within(90.0, 0.0, 1e9), [0, 1, 2]);
    let boxed = |north: f64, west: f64, south: f64, east: f64| {
        passing(
            &index,
            &json!({"place": {"$geo_box": {
                "top_left": {"lat": north, "lon": west}, "bottom_right": {"lat": south, "lon": east}}}}),
        )
    };
    assert_eq!(boxed(50.0, 2.0, 48.0, 3.0), [0]);
    assert_eq!(boxed(0.0, 177.0, -20.0, -177.0), [2]);
    assert_eq!(boxed(50.0, 0.0, 40.0, 10.0), [0, 1, 2]);
    assert_eq!(passing(&index, &json!({"place.city": "Lyon"})), [1]);
}

#[test]
fn a_day_is_the_instant_of_its_beginning() {
    let (_dir, index) = filled(&[
        json!({"when": "2024-05-01"}),
        json!({"when": "2024-05-01T01:00:00+02:00", "note": "2024-05-01T01:00:00+02:00"}),
        json!({"when": "2024-05-02T00:00:00.000000001Z"}),
    ]);
    assert_eq!(
        passing(&index, &json!({"when": {"$lt": "2024-05-01"}})),
        [1]
    );
    assert_eq!(
        passing(&index, &json!({"when": {"$gt": "2024-05-02T00:00:00Z"}})),
        [2]
    );
    assert_eq!(
        passing(&index, &json!({"note": {"$gt": "2024-05-01"}})),
        [1]
    );
}

#[test]
fn a_filter_survives_a_restart() {
    let dir = TempDir::new().unwrap();
    let row = written(7, "text", json!({"a": [1, 2]}));
    open_declared(&dir).apply(&[], &[row.as_row()], 1).unwrap();
    assert_eq!(passing(&open_declared(&dir), &json!({"a": 2})), [7]);
}

#[test]
fn errors_have_a_location() {
    for (filter, at, words) in [
        (json!([]), "", "an array"),
        (json!({"a": {"$gte": null}}), "a.$gte", "null"),
        (json!({"a": {"$almost": 1}}), "a.$almost", "$nin"),
        (json!({"a": {"city": "Lyon"}}), "a.city", "place.city"),
        (json!({"a": [1]}), "a", "$in"),
        (json!({"a": {}}), "a", "$eq"),
        (json!({"a": {"$in": 5}}), "a.$in", "the number 5"),
        (json!({"a": {"$in": [[1]]}}), "a.$in", "an array"),
        (json!({"a": {"$exists": 1}}), "a.$exists", "true or false"),
        (json!({"a": {"$contains": {}}}), "a.$contains", "an object"),
        (json!({"a": {"$gt": 1, "$lt": "b"}}), "a", "different types"),
        (json!({"a": {"$gt": true}}), "a.$gt", "the boolean true"),
        (json!({"a": {"$not": 1}}), "a.$not", "$ne"),
        (json!({"$nor": []}), "$nor", "$and"),
        (json!({"$or": []}), "$or", "empty"),
        (
            json!({"$or": [{}, {"$and": [{"b": {"$x": 1}}]}]}),
            "$or[1].$and[0].b.$x",
            "$x",
        ),
        (json!({"$text": "x"}), "$text", "true or false"),
        (json!({"$id": 5}), "$id", "string"),
        (json!({"year": "2024"}), "year", "integer"),
        (json!({"year": {"$in": [1, "b"]}}), "year.$in", "integer"),
        (json!({"when": {"$gt": "noon"}}), "when.$gt", "RFC 3339"),
        (json!({"when": 5}), "when", "date"),
        (
            json!({"a": {"$geo_radius": {"lat": 1, "lon": 2}}}),
            "a.$geo_radius",
            "radius_m",
        ),
        (
            json!({"a": {"$geo_radius": {"lat": 91, "lon": 2, "radius_m": 1}}}),
            "a.$geo_radius",
            "-90",
        ),
        (
            json!({"year": {"$geo_radius": {"lat": 1, "lon": 2, "radius_m": 1}}}),
            "year.$geo_radius",
            "points",
        ),
        (
            json!({"a": {"$geo_box": {"top_left": {"lat": 1, "lon": 2}, "bottom_right": {"lat": 2, "lon": 3}}}}),
            "a.$geo_box",
            "south",
        ),
    ] {
        let error = Filter::parse(&filter, &declared()).unwrap_err();
        assert_eq!(error.at, at, "{filter}: {error}");
        assert!(error.reason.contains(words), "{filter}: {error}");
        assert!(error.to_string().contains(&error.reason));
    }
    let deep = (0..40).fold(json!({"a": 1}), |inner, _| json!({"$not": inner}));
    assert!(Filter::parse(&deep, &declared()).is_err());
    let wide: Vec<Value> = (0..2000).map(|n| json!({"a": n})).collect();
    assert!(Filter::parse(&json!({"$or": wide}), &declared()).is_err());
    let long: Vec<u32> = (0..70_000).collect();
    assert!(Filter::parse(&json!({"a": {"$in": long}}), &declared()).is_err());
    let nested = metadata(json!({"x": 1}));
    assert!(declared().check(&nested).is_ok());
}

#[test]
fn only_a_filter_without_conditions_is_empty() {
    let empty = |filter| Filter::parse(&filter, &declared()).unwrap().is_empty();
    assert!(empty(json!({})));
    assert!(!empty(json!({"a": 1})));
}
