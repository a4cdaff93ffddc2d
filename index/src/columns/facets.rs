//! How often each value of a field occurs among some rows.

use std::collections::HashMap;

use serde_json::Value;
use tantivy::Searcher;

use super::read::{Column, documents_of};
use super::{Source, term};
use crate::error::IndexError;
use crate::row::RowId;
use crate::row_set::RowSet;

/// A field's values by how many documents have them.
#[derive(Debug, Clone, PartialEq)]
pub struct Facet {
    /// The most frequent first, equal ones by value.
    pub values: Vec<(Value, u64)>,
    /// The smallest and the largest of its numbers.
    pub numbers: Option<(Value, Value)>,
}

/// What [`crate::CollectionIndex::facets`] counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Facets {
    /// One for each field that was asked for.
    pub facets: Vec<Facet>,
    /// The documents that were counted.
    pub documents: u64,
}

/// Of each field the `limit` most frequent values among the rows of a set, among all where
/// none is given. A document counts once for each of its values.
pub(crate) fn facets(
    searcher: &Searcher,
    rows: Option<&RowSet>,
    fields: &[(String, usize)],
) -> Result<Facets, IndexError> {
    let mut documents = 0;
    let mut counts: Vec<HashMap<String, u64>> = vec![HashMap::new(); fields.len()];
    for segment in searcher.segment_readers() {
        let counted = documents_of(segment, rows)?;
        documents += counted.len() as u64;
        for ((path, _), counts) in fields.iter().zip(&mut counts) {
            let Some(column) = Column::open(segment, &Source::named(path))? else {
                continue;
            };
            let mut by_ordinal = vec![0u32; column.terms() as usize];
            for document in &counted {
                for ordinal in column.of(*document) {
                    by_ordinal[ordinal as usize] += 1;
                }
            }
            for values in column.values()? {
                let here = values.filter(|ordinal| by_ordinal[*ordinal as usize] > 0);
                let here: Vec<u64> = here.collect();
                let mut at = here.iter();
                column.each(here.iter().copied(), |term| {
                    if let Some(ordinal) = at.next() {
                        let count = u64::from(by_ordinal[*ordinal as usize]);
                        match counts.get_mut(term) {
                            Some(known) => *known += count,
                            None => {
                                counts.insert(term.to_owned(), count);
                            }
                        }
                    }
                })?;
            }
        }
    }
    let facets = counts
        .into_iter()
        .zip(fields)
        .map(|(counts, (_, limit))| facet(counts, *limit))
        .collect();
    Ok(Facets { facets, documents })
}

fn facet(counts: HashMap<String, u64>, limit: usize) -> Facet {
    let numbers = || counts.keys().filter(|term| term.starts_with('n'));
    let numbers = match (numbers().min(), numbers().max()) {
        (Some(least), Some(most)) => term::shown(least).zip(term::shown(most)),
        _ => None,
    };
    let mut values: Vec<(String, u64)> = counts.into_iter().collect();
    values.sort_unstable_by(|(a, some), (b, others)| others.cmp(some).then_with(|| a.cmp(b)));
    values.truncate(limit);
    let values = values
        .into_iter()
        .filter_map(|(term, count)| Some((term::shown(&term)?, count)))
        .collect();
    Facet { values, numbers }
}

/// The values of a field that some rows have, for grouping: each row's first.
pub(crate) fn first_values(
    searcher: &Searcher,
    rows: &RowSet,
    path: &str,
) -> Result<HashMap<RowId, Value>, IndexError> {
    let mut firsts = HashMap::new();
    for segment in searcher.segment_readers() {
        let Some(column) = Column::open(segment, &Source::named(path))? else {
            continue;
        };
        let row = super::read::row_column(segment)?;
        let values = column.values()?;
        for document in documents_of(segment, Some(rows))? {
            let first = column
                .of(document)
                .filter(|ordinal| values.iter().any(|range| range.contains(ordinal)))
                .min();
            if let Some(first) = first
                && let Some(value) = term::shown(&column.term(first)?)
            {
                firsts.insert(RowId(row.values.get_val(document)), value);
            }
        }
    }
    Ok(firsts)
}
