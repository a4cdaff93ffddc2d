//! Facets: how often each value of a field occurs in a set of rows.
//!
//! Each segment counts by ordinal. The dictionaries are then merged in the order of their terms,
//! which adds up the counts of each value, and only the most frequent values are kept.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use serde_json::Value;
use tantivy::columnar::Streamer;
use tantivy::{DocId, Searcher};

use super::read::{Column, documents_of};
use super::{Source, term};
use crate::bits::Bits;
use crate::error::IndexError;
use crate::row_set::RowSet;

/// If fewer than one in this many documents of a segment, or terms of a dictionary, are needed, they
/// are looked up one by one; otherwise a scan is faster.
const FEW: usize = 16;

/// The values of a field with the number of documents that have each.
#[derive(Debug, Clone, PartialEq)]
pub struct Facet {
    /// By descending frequency, ties by value.
    pub values: Vec<(Value, u64)>,
    /// The smallest and the largest number.
    pub numbers: Option<(Value, Value)>,
}

/// The result of [`crate::CollectionIndex::facets`].
#[derive(Debug, Clone, PartialEq)]
pub struct Facets {
    /// One for each requested field.
    pub facets: Vec<Facet>,
    /// Number of counted documents.
    pub documents: u64,
}

/// The `limit` most frequent values of each field, only among `rows` if given. A document counts
/// once for each of its values.
pub(crate) fn facets(
    searcher: &Searcher,
    rows: Option<&RowSet>,
    fields: &[(String, usize)],
) -> Result<Facets, IndexError> {
    let mut segments = Vec::with_capacity(searcher.segment_readers().len());
    let mut documents = 0;
    for segment in searcher.segment_readers() {
        let counted = documents_of(segment, rows)?;
        documents += counted.count() as u64;
        segments.push((segment, counted));
    }
    let facets = fields
        .iter()
        .map(|(path, limit)| {
            let source = Source::named(path);
            let mut columns = Vec::with_capacity(segments.len());
            for (segment, counted) in &segments {
                if let Some(column) = Column::open(segment, &source)? {
                    let counts = count(&column, counted)?;
                    columns.push((column, counts));
                }
            }
            merge(&columns, *limit)
        })
        .collect::<Result<_, _>>()?;
    Ok(Facets { facets, documents })
}

/// The number of documents that have each term; 0 for terms that are no values.
fn count(column: &Column, documents: &Bits) -> Result<Vec<u32>, IndexError> {
    let mut counts = vec![0u32; column.terms() as usize];
    if documents.count() < column.num_documents() as usize / FEW {
        for document in documents.iter() {
            for ordinal in column.of(document as DocId) {
                counts[ordinal as usize] += 1;
            }
        }
    } else {
        column.each_document(|document, ordinals| {
            if documents.contains(document as usize) {
                for ordinal in ordinals {
                    counts[*ordinal as usize] += 1;
                }
            }
        });
    }
    let [before, after] = column.values()?;
    counts[before.end as usize..after.start as usize].fill(0);
    counts[after.end as usize..].fill(0);
    Ok(counts)
}

fn merge(columns: &[(Column, Vec<u32>)], limit: usize) -> Result<Facet, IndexError> {
    let mut heads = BinaryHeap::with_capacity(columns.len());
    for (column, counts) in columns {
        heads.extend(Head::first(column, counts)?);
    }
    let mut best = Best::new(limit);
    let mut numbers: Option<(String, String)> = None;
    let mut term = String::new();
    while let Some(head) = heads.peek() {
        term.clone_from(&head.term);
        let mut total = 0;
        while let Some(mut head) = heads.peek_mut()
            && head.term == term
        {
            total += u64::from(head.count);
            if !head.advance()? {
                PeekMut::pop(head);
            }
        }
        if term.starts_with('n') {
            match &mut numbers {
                Some((_, most)) => most.clone_from(&term),
                None => numbers = Some((term.clone(), term.clone())),
            }
        }
        best.offer(&term, total);
    }
    Ok(Facet {
        values: best.finish(),
        numbers: numbers.and_then(|(least, most)| term::value(&least).zip(term::value(&most))),
    })
}

/// The next value of a segment that occurs. The heap has the first value of all segments on top.
struct Head<'a> {
    term: String,
    count: u32,
    rest: Rest<'a>,
}

/// The remaining values of a segment.
enum Rest<'a> {
    /// All terms of the dictionary with their counts: many occur.
    Dictionary(Box<Streamer<'a>>, &'a [u32]),
    /// The few values that occur.
    Few(std::vec::IntoIter<(String, u32)>),
}

impl<'a> Head<'a> {
    /// `None` if no value occurs.
    fn first(column: &'a Column, counts: &'a [u32]) -> Result<Option<Self>, IndexError> {
        let occurring = counts.iter().filter(|count| **count > 0).count();
        let rest = if occurring < counts.len() / FEW {
            let mut few = Vec::with_capacity(occurring);
            let ordinals = || (0..).zip(counts).filter(|(_, count)| **count > 0);
            let mut at = ordinals();
            column.each(ordinals().map(|(ordinal, _)| ordinal), |term| {
                few.extend(at.next().map(|(_, count)| (term.to_owned(), *count)));
            })?;
            Rest::Few(few.into_iter())
        } else {
            Rest::Dictionary(Box::new(column.stream()?), counts)
        };
        let mut head = Self {
            term: String::new(),
            count: 0,
            rest,
        };
        Ok(head.advance()?.then_some(head))
    }

    /// Moves to the next value; returns whether there is one.
    fn advance(&mut self) -> Result<bool, IndexError> {
        match &mut self.rest {
            Rest::Dictionary(terms, counts) => {
                while terms.advance() {
                    self.count = counts[terms.term_ord() as usize];
                    if self.count > 0 {
                        self.term.clear();
                        self.term.push_str(super::read::text(terms.key())?);
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Rest::Few(few) => Ok(few
                .next()
                .map(|(term, count)| {
                    self.term = term;
                    self.count = count;
                })
                .is_some()),
        }
    }
}

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.term.cmp(&self.term)
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head<'_> {}

/// Keeps the most frequent of the values, which are offered in the order of terms.
struct Best {
    limit: usize,
    /// The least frequent on top, ties by the last term.
    kept: BinaryHeap<(Reverse<u64>, String)>,
}

impl Best {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: BinaryHeap::new(),
        }
    }

    fn offer(&mut self, term: &str, count: u64) {
        if self.kept.len() < self.limit {
            self.kept.push((Reverse(count), term.to_owned()));
        } else if let Some(mut least) = self.kept.peek_mut()
            // An equally frequent one came before.
            && least.0.0 < count
        {
            *least = (Reverse(count), term.to_owned());
        }
    }

    fn finish(self) -> Vec<(Value, u64)> {
        self.kept
            .into_sorted_vec()
            .into_iter()
            .filter_map(|(Reverse(count), term)| Some((term::value(&term)?, count)))
            .collect()
    }
}
