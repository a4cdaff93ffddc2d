//! Which live rows pass a filter, by scans over columns.

use std::ops::{Bound, Range};

use tantivy::{DocId, Searcher, SegmentReader};

use super::{Bits, Filter, Node, Test};
use crate::columns::read::{Column, row_column};
use crate::columns::{Point, Source, term};
use crate::error::IndexError;
use crate::row::RowId;
use crate::row_set::RowSet;

/// Scans of one ordinal range each that are taken before a lookup of every value.
const SCANS: usize = 4;

/// Added around latitudes before exact distances are asked for: rounding must lose nothing.
const MARGIN_DEGREES: f64 = 1e-6;

/// The live rows that pass.
pub(crate) fn select(searcher: &Searcher, filter: &Filter) -> Result<RowSet, IndexError> {
    let mut rows = RowSet::default();
    for segment in searcher.segment_readers() {
        let mut documents = Segment(segment).documents(&filter.root)?;
        if let Some(alive) = segment.alive_bitset() {
            let mut live = Bits::none(documents_of(segment));
            alive
                .iter_alive()
                .for_each(|document| live.insert(document as usize));
            documents.keep(&live);
        }
        if documents.is_empty() {
            continue;
        }
        let row = row_column(segment)?;
        for document in documents.iter() {
            rows.insert(RowId(row.values.get_val(document as DocId)));
        }
    }
    Ok(rows)
}

fn documents_of(segment: &SegmentReader) -> usize {
    segment.max_doc() as usize
}

struct Segment<'a>(&'a SegmentReader);

impl Segment<'_> {
    /// The documents that pass, deleted ones perhaps too.
    fn documents(&self, node: &Node) -> Result<Bits, IndexError> {
        match node {
            Node::All(nodes) => {
                let mut all = Bits::all(documents_of(self.0));
                for node in nodes {
                    if all.is_empty() {
                        break;
                    }
                    all.keep(&self.documents(node)?);
                }
                Ok(all)
            }
            Node::Any(nodes) => {
                let mut any = Bits::none(documents_of(self.0));
                for node in nodes {
                    any.add(&self.documents(node)?);
                }
                Ok(any)
            }
            Node::Not(node) => {
                let mut documents = self.documents(node)?;
                documents.invert();
                Ok(documents)
            }
            Node::Field(source, test) => self.field(source, test),
        }
    }

    fn field(&self, source: &Source, test: &Test) -> Result<Bits, IndexError> {
        let mut documents = Bits::none(documents_of(self.0));
        let Some(column) = Column::open(self.0, source)? else {
            return Ok(documents);
        };
        match ordinals(&column, test)? {
            Ordinals::Ranges(ranges) => {
                for range in ranges {
                    column.documents(range, |document| documents.insert(document as usize));
                }
            }
            Ordinals::Set(set) => {
                for document in 0..column.num_documents() {
                    if column
                        .of(document)
                        .any(|ordinal| set.contains(ordinal as usize))
                    {
                        documents.insert(document as usize);
                    }
                }
            }
        }
        Ok(documents)
    }
}

/// The terms of a column that pass a test.
enum Ordinals {
    /// A few ranges of them.
    Ranges(Vec<Range<u64>>),
    Set(Bits),
}

impl Ordinals {
    fn one(range: Range<u64>) -> Self {
        Self::Ranges([range].into())
    }
}

fn ordinals(column: &Column, test: &Test) -> Result<Ordinals, IndexError> {
    match test {
        Test::Exists => Ok(Ordinals::one(0..column.terms())),
        Test::Between(low, high) => {
            let range = column.between(
                low.as_ref().map(String::as_str),
                high.as_ref().map(String::as_str),
            )?;
            Ok(Ordinals::one(range))
        }
        Test::OneOf(terms) => one_of(column, terms),
        Test::Holds(text) => {
            let strings = column.between(Bound::Included("s"), Bound::Excluded("t"))?;
            those(column, strings, |term| {
                term::beginning(&term[1..]).contains(text)
            })
        }
        Test::Within { middle, radius_m } => {
            let span = Point::degrees_of(*radius_m);
            let points = points(column, middle.lat - span, middle.lat + span)?;
            those(column, points, |term| {
                term::read_point(term).is_some_and(|point| point.distance_m(*middle) <= *radius_m)
            })
        }
        Test::Inside(area) => {
            let points = points(column, area.bottom_right.lat, area.top_left.lat)?;
            those(column, points, |term| {
                term::read_point(term).is_some_and(|point| area.contains(point))
            })
        }
    }
}

fn points(column: &Column, south: f64, north: f64) -> Result<Range<u64>, IndexError> {
    let (low, high) = term::latitudes(south - MARGIN_DEGREES, north + MARGIN_DEGREES);
    column.between(Bound::Included(&low), Bound::Excluded(&high))
}

fn one_of(column: &Column, terms: &[String]) -> Result<Ordinals, IndexError> {
    let mut found = Found::default();
    for term in terms {
        if let Some(ordinal) = column.find(term)? {
            found.add(ordinal);
        }
    }
    Ok(found.finish(column))
}

/// Those terms of a range that pass.
fn those(
    column: &Column,
    range: Range<u64>,
    passes: impl Fn(&str) -> bool,
) -> Result<Ordinals, IndexError> {
    let mut found = Found::default();
    let mut ordinal = range.start;
    column.each(range, |term| {
        if passes(term) {
            found.add(ordinal);
        }
        ordinal += 1;
    })?;
    Ok(found.finish(column))
}

/// Ordinals as they are found, ascending.
#[derive(Default)]
struct Found(Vec<Range<u64>>);

impl Found {
    fn add(&mut self, ordinal: u64) {
        match self.0.last_mut() {
            Some(last) if last.end == ordinal => last.end += 1,
            _ => self.0.push(ordinal..ordinal + 1),
        }
    }

    fn finish(self, column: &Column) -> Ordinals {
        if self.0.len() <= SCANS {
            return Ordinals::Ranges(self.0);
        }
        let mut set = Bits::none(column.terms() as usize);
        for ordinal in self.0.into_iter().flatten() {
            set.insert(ordinal as usize);
        }
        Ordinals::Set(set)
    }
}
