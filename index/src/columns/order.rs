//! Rows in the order of their fields' values.
//!
//! A document without a value in a field goes last, whichever way the field is ordered.
//! Values of several types go booleans, dates, numbers, strings; of several values of one
//! document the one counts that brings it forward. What is left equal goes by document id,
//! which writes elsewhere do not change: a page that begins after a [`Place`] repeats and
//! skips nothing that stays.

use std::cmp::Ordering;
use std::ops::{Bound, Range};

use serde::{Deserialize, Serialize};
use tantivy::{DocId, Searcher, SegmentReader};

use super::read::{Column, documents_of, row_column};
use super::{Point, Source, term};
use crate::error::IndexError;
use crate::row::RowId;
use crate::row_set::RowSet;

/// Keys of one order, beside the document's id.
pub const MOST_SORT_KEYS: usize = 4;

/// What rows are ordered by, the first key first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Order(Vec<Key>);

/// One thing to order by.
#[derive(Debug, Clone, PartialEq)]
enum Key {
    Value { source: Source, descending: bool },
    Distance { source: Source, from: Point },
}

/// Where a row stands in an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place(Vec<Mark>);

/// A row's value for one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Mark {
    #[serde(rename = "t")]
    Term(String),
    #[serde(rename = "m")]
    Metres(f64),
    #[serde(rename = "-")]
    Missing,
}

impl Order {
    /// By a field's values; `$id` is the document's id.
    #[must_use]
    pub fn by(mut self, path: &str, descending: bool) -> Self {
        self.0.push(Key::Value {
            source: Source::named(path),
            descending,
        });
        self
    }

    /// By the distance of a field's points from here, the nearest first.
    #[must_use]
    pub fn near(mut self, path: &str, from: Point) -> Self {
        self.0.push(Key::Distance {
            source: Source::named(path),
            from,
        });
        self
    }

    /// Which of two places comes first.
    pub fn compare(&self, a: &Place, b: &Place) -> Ordering {
        compare(&self.keys(), a, b)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether rows go by document id alone.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `place` is one in this order, as far as its shape tells.
    pub fn knows(&self, place: &Place) -> bool {
        let keys = self.keys();
        keys.len() == place.0.len()
            && keys.iter().zip(&place.0).all(|(key, mark)| {
                matches!(
                    (key, mark),
                    (_, Mark::Missing)
                        | (Key::Value { .. }, Mark::Term(_))
                        | (Key::Distance { .. }, Mark::Metres(_))
                )
            })
    }

    /// The keys, and last the id that decides between equals.
    fn keys(&self) -> Vec<Key> {
        let mut keys = self.0.clone();
        keys.truncate(MOST_SORT_KEYS);
        keys.push(Key::Value {
            source: Source::Id,
            descending: false,
        });
        keys
    }
}

impl Place {
    /// The place of a document in the order of ids.
    pub fn of_id(id: &str) -> Self {
        Self(vec![Mark::Term(term::string(id))])
    }

    /// The metres of the first key that is a distance.
    pub fn distance_m(&self) -> Option<f64> {
        self.0.iter().find_map(|mark| match mark {
            Mark::Metres(metres) => Some(*metres),
            Mark::Term(_) | Mark::Missing => None,
        })
    }
}

/// A row and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Ordered {
    /// The row.
    pub row: RowId,
    /// Its place.
    pub place: Place,
}

/// The first `limit` rows of a set (of all where none is given) after `after`.
pub(crate) fn ordered(
    searcher: &Searcher,
    rows: Option<&RowSet>,
    order: &Order,
    after: Option<&Place>,
    limit: usize,
) -> Result<Vec<Ordered>, IndexError> {
    let keys = order.keys();
    let mut first: Vec<Ordered> = Vec::new();
    for segment in searcher.segment_readers() {
        let readers = keys
            .iter()
            .map(|key| KeyReader::open(segment, key))
            .collect::<Result<Vec<_>, _>>()?;
        let after = after
            .map(|place| start_after(&readers, place))
            .transpose()?;
        let mut best = Best::new(limit);
        for document in documents_of(segment, rows)?.iter() {
            let document = document as DocId;
            let standing = standing(&readers, document);
            if after.is_none_or(|after| standing > after) {
                best.offer(standing, document);
            }
        }
        let column = row_column(segment)?;
        for (standing, document) in best.finish() {
            let marks = readers
                .iter()
                .zip(standing)
                .map(|(reader, number)| reader.mark(number))
                .collect::<Result<Vec<_>, _>>()?;
            first.push(Ordered {
                row: RowId(column.values.get_val(document)),
                place: Place(marks),
            });
        }
    }
    first.sort_by(|a, b| compare(&keys, &a.place, &b.place));
    first.truncate(limit);
    Ok(first)
}

fn compare(keys: &[Key], a: &Place, b: &Place) -> Ordering {
    for ((key, a), b) in keys.iter().zip(&a.0).zip(&b.0) {
        let order = match (a, b) {
            (Mark::Term(a), Mark::Term(b)) => match key {
                Key::Value {
                    descending: true, ..
                } => b.cmp(a),
                _ => a.cmp(b),
            },
            (Mark::Metres(a), Mark::Metres(b)) => a.total_cmp(b),
            (Mark::Missing, Mark::Missing) => Ordering::Equal,
            (Mark::Missing, _) => Ordering::Greater,
            (_, Mark::Missing) => Ordering::Less,
            // Two kinds under one key: a place from elsewhere.
            (Mark::Term(_), Mark::Metres(_)) => Ordering::Less,
            (Mark::Metres(_), Mark::Term(_)) => Ordering::Greater,
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// A document's keys as numbers that are ordered within one segment; unused ones are 0.
type Standing = [u64; MOST_SORT_KEYS + 1];

const LAST: u64 = u64::MAX;

fn standing(readers: &[KeyReader], document: DocId) -> Standing {
    let mut standing = [0; MOST_SORT_KEYS + 1];
    for (number, reader) in standing.iter_mut().zip(readers) {
        *number = reader.number(document);
    }
    standing
}

fn start_after(readers: &[KeyReader], place: &Place) -> Result<Standing, IndexError> {
    let mut standing = [0; MOST_SORT_KEYS + 1];
    for ((number, reader), mark) in standing.iter_mut().zip(readers).zip(&place.0) {
        *number = reader.number_of(mark)?;
    }
    Ok(standing)
}

/// One key in one segment.
enum KeyReader {
    /// No document here has a value.
    Nothing,
    Value {
        column: Column,
        /// The ordinals of values that have an order.
        values: [Range<u64>; 2],
        descending: bool,
    },
    Distance {
        column: Column,
        /// The ordinal of the first point, and each point's distance.
        first: u64,
        metres: Vec<f64>,
    },
}

impl KeyReader {
    fn open(segment: &SegmentReader, key: &Key) -> Result<Self, IndexError> {
        let (Key::Value { source, .. } | Key::Distance { source, .. }) = key;
        let Some(column) = Column::open(segment, source)? else {
            return Ok(Self::Nothing);
        };
        match key {
            Key::Value { descending, .. } => Ok(Self::Value {
                values: column.values()?,
                column,
                descending: *descending,
            }),
            Key::Distance { from, .. } => {
                let mut first = 0;
                let mut metres = Vec::new();
                column.each_between("g", "h", |ordinal, term| {
                    if metres.is_empty() {
                        first = ordinal;
                    }
                    let point = term::read_point(term);
                    metres.push(point.map_or(f64::INFINITY, |point| point.distance_m(*from)));
                })?;
                Ok(Self::Distance {
                    column,
                    first,
                    metres,
                })
            }
        }
    }

    fn number(&self, document: DocId) -> u64 {
        match self {
            Self::Nothing => LAST,
            Self::Value {
                column,
                values,
                descending,
            } => {
                let ordinals = column
                    .of(document)
                    .filter(|ordinal| values.iter().any(|range| range.contains(ordinal)));
                if *descending {
                    ordinals.max().map_or(LAST, |o| turned(2 * o + 1))
                } else {
                    ordinals.min().map_or(LAST, |o| 2 * o + 1)
                }
            }
            Self::Distance {
                column,
                first,
                metres,
            } => column
                .of(document)
                .filter_map(|ordinal| {
                    metres.get(usize::try_from(ordinal.checked_sub(*first)?).ok()?)
                })
                .copied()
                .min_by(f64::total_cmp)
                // No distance is negative, so its bits are in order.
                .map_or(LAST, f64::to_bits),
        }
    }

    /// The number of a value that may not be in this segment: then one between its neighbours'.
    fn number_of(&self, mark: &Mark) -> Result<u64, IndexError> {
        match (self, mark) {
            (
                Self::Value {
                    column, descending, ..
                },
                Mark::Term(term),
            ) => {
                let from = column
                    .between(Bound::Included(term), Bound::Unbounded)?
                    .start;
                let number = if column.find(term)?.is_some() {
                    2 * from + 1
                } else {
                    2 * from
                };
                Ok(if *descending { turned(number) } else { number })
            }
            (Self::Distance { .. }, Mark::Metres(metres)) => Ok(metres.to_bits()),
            // Any value goes before what is missing here.
            (Self::Nothing, Mark::Term(_) | Mark::Metres(_)) => Ok(0),
            _ => Ok(LAST),
        }
    }

    fn mark(&self, number: u64) -> Result<Mark, IndexError> {
        if number == LAST {
            return Ok(Mark::Missing);
        }
        match self {
            Self::Nothing => Ok(Mark::Missing),
            Self::Value {
                column, descending, ..
            } => {
                let number = if *descending { turned(number) } else { number };
                Ok(Mark::Term(column.term(number / 2)?))
            }
            Self::Distance { .. } => Ok(Mark::Metres(f64::from_bits(number))),
        }
    }
}

/// The other way round, and still before [`LAST`].
fn turned(number: u64) -> u64 {
    LAST - 1 - number
}

/// The first so many of what is offered.
struct Best {
    limit: usize,
    kept: Vec<(Standing, DocId)>,
    /// Once there are enough: the last that can still be among the first.
    last: Option<Standing>,
}

impl Best {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: Vec::new(),
            last: None,
        }
    }

    fn offer(&mut self, standing: Standing, document: DocId) {
        if self.limit == 0 || self.last.is_some_and(|last| standing > last) {
            return;
        }
        self.kept.push((standing, document));
        if self.kept.len() >= self.limit.saturating_mul(2).max(64) {
            self.prune();
        }
    }

    fn prune(&mut self) {
        if self.kept.len() > self.limit {
            let (_, last, _) = self.kept.select_nth_unstable(self.limit - 1);
            self.last = Some(last.0);
            self.kept.truncate(self.limit);
        }
    }

    fn finish(mut self) -> Vec<(Standing, DocId)> {
        self.kept.sort_unstable();
        self.kept.truncate(self.limit);
        self.kept
    }
}
