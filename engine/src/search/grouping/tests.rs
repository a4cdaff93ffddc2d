#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use clipdb_index::fusion::Part;
use serde_json::json;

use super::*;

/// The value of each row.
struct Table(BTreeMap<u64, &'static str>);

impl Table {
    fn of(rows: &[(u64, &'static str)]) -> Self {
        Self(rows.iter().copied().collect())
    }
}

impl GroupLookup for Table {
    type Key = &'static str;

    fn value(key: &&'static str) -> Value {
        json!(key)
    }

    fn keys_of(&self, rows: &RowSet, _: &str) -> Result<HashMap<RowId, &'static str>, EngineError> {
        let known = self.0.iter().map(|(row, value)| (RowId(*row), *value));
        Ok(known.filter(|(row, _)| rows.contains(*row)).collect())
    }

    fn rows_of(&self, _: &str, keys: &[&&'static str]) -> Result<RowSet, EngineError> {
        let known = self.0.iter();
        Ok(known
            .filter(|(_, value)| keys.contains(value))
            .map(|(row, _)| RowId(*row))
            .collect())
    }
}

fn hits(rows: &[u64]) -> Vec<Candidate> {
    rows.iter()
        .map(|row| Candidate {
            row: RowId(*row),
            score: Some(1.0),
            confidence: None,
            parts: Vec::<Part>::new(),
            group: None,
            distance_m: None,
            place: None,
        })
        .collect()
}

fn by(limit: usize) -> GroupBy {
    GroupBy {
        field: "colour".to_owned(),
        limit,
    }
}

fn kept(groups: &Groups<'_, Table>) -> Vec<(u64, Option<Value>)> {
    let kept = groups.kept.iter();
    kept.map(|hit| (hit.row.0, hit.group.clone())).collect()
}

fn sorted(rows: &RowSet) -> Vec<u64> {
    let mut rows: Vec<u64> = rows.iter().map(|row| row.0).collect();
    rows.sort_unstable();
    rows
}

const COLOURS: [(u64, &str); 5] = [(1, "red"), (2, "red"), (3, "blue"), (4, "red"), (5, "blue")];

#[test]
fn the_first_hits_of_each_group_are_kept_in_their_order() {
    let table = Table::of(&COLOURS);
    // hits of one group, rows that are kept
    let expected: [(usize, &[u64]); 3] = [(1, &[4, 3]), (2, &[4, 3, 2, 5]), (3, &[4, 3, 2, 5, 1])];
    for (limit, rows) in expected {
        let by = by(limit);
        let mut groups = Groups::new(&table, &by);
        groups.extend(hits(&[4, 3, 2, 5, 1])).unwrap();
        let found: Vec<u64> = groups.kept.iter().map(|hit| hit.row.0).collect();
        assert_eq!(found, rows, "{limit} of each group");
    }
}

#[test]
fn a_hit_without_a_value_is_its_own_group() {
    let table = Table::of(&COLOURS);
    let by = by(1);
    let mut groups = Groups::new(&table, &by);
    groups.extend(hits(&[7, 1, 8, 2, 9])).unwrap();
    assert_eq!(
        kept(&groups),
        [(7, None), (1, Some(json!("red"))), (8, None), (9, None)]
    );
}

#[test]
fn groups_continue_over_several_reads() {
    let table = Table::of(&COLOURS);
    let by = by(2);
    let mut groups = Groups::new(&table, &by);
    groups.extend(hits(&[1])).unwrap();
    assert!(groups.full().unwrap().is_empty());
    groups.extend(hits(&[2, 3])).unwrap();
    assert_eq!(
        sorted(&groups.full().unwrap()),
        [1, 2, 4],
        "the group red is full"
    );
    groups.extend(hits(&[4, 5])).unwrap();
    let found: Vec<u64> = groups.kept.iter().map(|hit| hit.row.0).collect();
    assert_eq!(found, [1, 2, 3, 5]);
}

#[test]
fn seen_rows_and_full_groups_are_not_read_again() {
    let table = Table::of(&COLOURS);
    let by = by(1);
    let mut groups = Groups::new(&table, &by);
    groups.extend(hits(&[1, 9])).unwrap();
    assert_eq!(sorted(&groups.seen_or_full().unwrap()), [1, 2, 4, 9]);
}

#[test]
fn cleared_groups_are_empty() {
    let table = Table::of(&COLOURS);
    let by = by(1);
    let mut groups = Groups::new(&table, &by);
    groups.extend(hits(&[1, 3])).unwrap();
    groups.clear();
    assert!(groups.kept.is_empty());
    assert!(groups.seen_or_full().unwrap().is_empty());
    groups.extend(hits(&[2])).unwrap();
    assert_eq!(groups.kept.len(), 1);
}
