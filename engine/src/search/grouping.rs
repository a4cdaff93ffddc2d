//! Groups hits by a field's value and keeps the first few of each group, in their order.

use std::collections::HashMap;
use std::hash::Hash;

use clipdb_index::{CollectionIndex, Group, RowId, RowSet};
use serde_json::Value;

use crate::error::EngineError;
use crate::search::paging::Candidate;
use crate::search::view::GroupBy;

/// Looks up the values that rows have in a field.
pub(crate) trait GroupLookup {
    /// Identifies a value.
    type Key: Eq + Hash;

    fn value(key: &Self::Key) -> Value;

    /// The key of each of `rows` that has a value in `field`.
    fn keys_of(&self, rows: &RowSet, field: &str)
    -> Result<HashMap<RowId, Self::Key>, EngineError>;

    /// All rows whose value in `field` is one of `keys`.
    fn rows_of(&self, field: &str, keys: &[&Self::Key]) -> Result<RowSet, EngineError>;
}

impl GroupLookup for CollectionIndex {
    type Key = Group;

    fn value(key: &Group) -> Value {
        key.value()
    }

    fn keys_of(&self, rows: &RowSet, field: &str) -> Result<HashMap<RowId, Group>, EngineError> {
        Ok(self.groups(rows, field)?)
    }

    fn rows_of(&self, field: &str, keys: &[&Group]) -> Result<RowSet, EngineError> {
        Ok(self.rows_of_groups(field, keys.iter().copied())?)
    }
}

/// Collects hits and keeps at most `limit` of each group. A hit without a value is its own group.
pub(crate) struct Groups<'a, L: GroupLookup> {
    lookup: &'a L,
    by: &'a GroupBy,
    sizes: HashMap<L::Key, usize>,
    /// Every row that was added, kept or not.
    seen: RowSet,
    pub(crate) kept: Vec<Candidate>,
}

impl<'a, L: GroupLookup> Groups<'a, L> {
    pub(crate) fn new(lookup: &'a L, by: &'a GroupBy) -> Self {
        Self {
            lookup,
            by,
            sizes: HashMap::new(),
            seen: RowSet::default(),
            kept: Vec::new(),
        }
    }

    pub(crate) fn extend(&mut self, hits: Vec<Candidate>) -> Result<(), EngineError> {
        let rows: RowSet = hits.iter().map(|hit| hit.row).collect();
        let mut keys = self.lookup.keys_of(&rows, &self.by.field)?;
        for mut hit in hits {
            self.seen.insert(hit.row);
            if let Some(key) = keys.remove(&hit.row) {
                hit.group = Some(L::value(&key));
                let size = self.sizes.entry(key).or_default();
                if *size == self.by.limit {
                    continue;
                }
                *size += 1;
            }
            self.kept.push(hit);
        }
        Ok(())
    }

    /// Removes all hits, before a deeper list is read from its start.
    pub(crate) fn clear(&mut self) {
        self.sizes.clear();
        self.seen = RowSet::default();
        self.kept.clear();
    }

    /// All rows of the groups that have `limit` hits.
    pub(crate) fn full(&self) -> Result<RowSet, EngineError> {
        let full = self
            .sizes
            .iter()
            .filter(|(_, size)| **size == self.by.limit);
        let keys: Vec<&L::Key> = full.map(|(key, _)| key).collect();
        self.lookup.rows_of(&self.by.field, &keys)
    }

    /// The rows that further reads can skip: those added before and those of full groups.
    pub(crate) fn seen_or_full(&self) -> Result<RowSet, EngineError> {
        let mut rows = self.full()?;
        self.seen.iter().for_each(|row| rows.insert(row));
        Ok(rows)
    }
}

#[cfg(test)]
mod tests;
