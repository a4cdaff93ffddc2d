//! Which live rows pass a filter, by scans over columns.

use std::ops::Range;

use tantivy::{Searcher, SegmentReader};

use super::{Filter, Node, Test};
use crate::bits::Bits;
use crate::columns::read::{Column, each_row, live_documents, row_column};
use crate::columns::{Point, Source, term};
use crate::error::IndexError;
use crate::row_set::RowSet;

/// Scans of one ordinal range each that are taken before a lookup of every value, where no
/// document has several.
const SCANS: usize = 4;

/// Bytes below which a string is searched inside byte by byte.
const SHORT: usize = 64;

/// Added around latitudes before exact distances are asked for: rounding must lose nothing.
const MARGIN_DEGREES: f64 = 1e-6;

/// The live rows that pass.
pub(crate) fn select(searcher: &Searcher, filter: &Filter) -> Result<RowSet, IndexError> {
    let mut rows = RowSet::default();
    for segment in searcher.segment_readers() {
        let mut documents = Segment(segment).documents(&filter.root)?;
        documents.keep(&live_documents(segment));
        if documents.is_empty() {
            continue;
        }
        each_row(&row_column(segment)?, &documents, |_, row| rows.insert(row));
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
        let mut insert = |document| documents.insert(document as usize);
        match ordinals(&column, test)? {
            Ordinals::All => column.present().for_each(insert),
            Ordinals::Ranges(ranges) => {
                for range in ranges {
                    column.documents(range, &mut insert);
                }
            }
            Ordinals::Set(set) => column.each_document(|document, values| {
                if values.iter().any(|ordinal| set.contains(*ordinal as usize)) {
                    insert(document);
                }
            }),
        }
        Ok(documents)
    }
}

/// The terms of a column that pass a test.
enum Ordinals {
    All,
    /// A few ranges of them.
    Ranges(Vec<Range<u64>>),
    Set(Bits),
}

fn ordinals(column: &Column, test: &Test) -> Result<Ordinals, IndexError> {
    match test {
        Test::Exists => Ok(Ordinals::All),
        Test::Between(low, high) => {
            let range = column.between(
                low.as_ref().map(String::as_str),
                high.as_ref().map(String::as_str),
            )?;
            Ok(Ordinals::Ranges([range].into()))
        }
        Test::OneOf(terms) => one_of(column, terms),
        Test::Holds(text) => those(column, "s", "t", |term| {
            holds(term::beginning(&term[1..]), text)
        }),
        Test::Within { middle, radius_m } => {
            let span = Point::degrees_of(*radius_m);
            let (low, high) = points(middle.lat - span, middle.lat + span);
            those(column, &low, &high, |term| {
                term::read_point(term).is_some_and(|point| point.distance_m(*middle) <= *radius_m)
            })
        }
        Test::Inside(area) => {
            let (low, high) = points(area.bottom_right.lat, area.top_left.lat);
            those(column, &low, &high, |term| {
                term::read_point(term).is_some_and(|point| area.contains(point))
            })
        }
    }
}

/// Between which terms the points between two latitudes lie.
fn points(south: f64, north: f64) -> (String, String) {
    term::latitudes(south - MARGIN_DEGREES, north + MARGIN_DEGREES)
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

/// The standard library's search pays off in long texts only, and most values are short.
fn holds(text: &str, sought: &str) -> bool {
    match sought.as_bytes().split_first() {
        Some((first, rest)) if text.len() < SHORT => {
            let bytes = text.as_bytes();
            (0..bytes.len()).any(|at| bytes[at] == *first && bytes[at + 1..].starts_with(rest))
        }
        _ => text.contains(sought),
    }
}

/// Those terms from `low` to below `high` that pass.
fn those(
    column: &Column,
    low: &str,
    high: &str,
    passes: impl Fn(&str) -> bool,
) -> Result<Ordinals, IndexError> {
    let mut found = Found::default();
    column.each_between(low, high, |ordinal, term| {
        if passes(term) {
            found.add(ordinal);
        }
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
        let most = if column.has_arrays() { 1 } else { SCANS };
        if self.0.len() <= most {
            return Ordinals::Ranges(self.0);
        }
        let mut set = Bits::none(column.terms() as usize);
        for ordinal in self.0.into_iter().flatten() {
            set.insert(ordinal as usize);
        }
        Ordinals::Set(set)
    }
}
