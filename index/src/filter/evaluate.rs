//! Evaluates a filter by scans over columns.

use std::ops::Range;

use tantivy::{Searcher, SegmentReader};

use super::{Filter, Node, Test};
use crate::bits::Bits;
use crate::columns::read::{Column, each_row, live_documents, row_column};
use crate::columns::{Point, Source, term};
use crate::error::IndexError;
use crate::row_set::RowSet;

/// Up to this many ranges of ordinals are scanned one by one if no document has several values.
/// Otherwise one scan looks up every value in a set.
const SCANS: usize = 4;

/// Strings shorter than this are searched byte by byte.
const SHORT: usize = 64;

/// Added to latitudes before exact distances are computed, so rounding loses no point.
const MARGIN_DEGREES: f64 = 1e-6;

/// The live rows that the filter accepts.
pub(crate) fn select(searcher: &Searcher, filter: &Filter) -> Result<RowSet, IndexError> {
    let mut rows = Vec::new();
    for segment in searcher.segment_readers() {
        let mut documents = Segment(segment).documents(&filter.root)?;
        documents.intersect(&live_documents(segment));
        if documents.is_empty() {
            continue;
        }
        each_row(&row_column(segment)?, &documents, |_, row| rows.push(row));
    }
    Ok(rows.into_iter().collect())
}

fn documents_of(segment: &SegmentReader) -> usize {
    segment.max_doc() as usize
}

struct Segment<'a>(&'a SegmentReader);

impl Segment<'_> {
    /// The documents that pass, possibly including deleted ones.
    fn documents(&self, node: &Node) -> Result<Bits, IndexError> {
        match node {
            Node::All(nodes) => {
                let mut all = Bits::all(documents_of(self.0));
                for node in nodes {
                    if all.is_empty() {
                        break;
                    }
                    all.intersect(&self.documents(node)?);
                }
                Ok(all)
            }
            Node::Any(nodes) => {
                let mut any = Bits::none(documents_of(self.0));
                for node in nodes {
                    any.unite(&self.documents(node)?);
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

/// The terms of a column that meet a condition.
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
        Test::Contains(text) => matching_terms(column, "s", "t", |term| {
            contains(term::beginning(&term[1..]), text)
        }),
        Test::Within { middle, radius_m } => {
            let span = Point::degrees_of(*radius_m);
            let (low, high) = points(middle.lat - span, middle.lat + span);
            matching_terms(column, &low, &high, |term| {
                term::read_point(term).is_some_and(|point| point.distance_m(*middle) <= *radius_m)
            })
        }
        Test::Inside(area) => {
            let (low, high) = points(area.bottom_right.lat, area.top_left.lat);
            matching_terms(column, &low, &high, |term| {
                term::read_point(term).is_some_and(|point| area.contains(point))
            })
        }
    }
}

/// Lower and upper bound of the terms of points between two latitudes, with a margin.
fn points(south: f64, north: f64) -> (String, String) {
    term::latitudes(south - MARGIN_DEGREES, north + MARGIN_DEGREES)
}

fn one_of(column: &Column, terms: &[String]) -> Result<Ordinals, IndexError> {
    let mut found = OrdinalRanges::default();
    for term in terms {
        if let Some(ordinal) = column.find(term)? {
            found.add(ordinal);
        }
    }
    Ok(found.finish(column))
}

/// Whether `text` contains `part`. The search of the standard library is faster only in long texts,
/// and most values are short.
fn contains(text: &str, part: &str) -> bool {
    match part.as_bytes().split_first() {
        Some((first, rest)) if text.len() < SHORT => {
            let bytes = text.as_bytes();
            (0..bytes.len()).any(|at| bytes[at] == *first && bytes[at + 1..].starts_with(rest))
        }
        _ => text.contains(part),
    }
}

/// The terms from `low` to below `high` that pass.
fn matching_terms(
    column: &Column,
    low: &str,
    high: &str,
    passes: impl Fn(&str) -> bool,
) -> Result<Ordinals, IndexError> {
    let mut found = OrdinalRanges::default();
    column.each_between(low, high, |ordinal, term| {
        if passes(term) {
            found.add(ordinal);
        }
    })?;
    Ok(found.finish(column))
}

/// Collects ascending ordinals.
#[derive(Default)]
struct OrdinalRanges(Vec<Range<u64>>);

impl OrdinalRanges {
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
