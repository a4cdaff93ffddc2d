//! Sorts rows by the values of fields.
//!
//! A document without a value in a field comes last in both directions. Types are ordered as
//! booleans, dates, numbers, strings. Of several values of a document, the one that ranks it higher
//! counts. Ties are broken by document id, which other writes do not change: a page that begins
//! after a [`SortKey`] neither repeats nor skips documents that stay.

use std::cmp::Ordering;
use std::ops::{Bound, Range};

use serde::{Deserialize, Serialize};
use tantivy::{DocId, Searcher, SegmentReader};

use super::read::{Column, documents_of, row_column};
use super::{Point, Source, term};
use crate::error::IndexError;
use crate::row::RowId;
use crate::row_set::RowSet;

/// Maximum number of criteria of an order, not counting the document's id.
pub const MOST_SORT_KEYS: usize = 4;

/// The order of rows: a list of criteria, the most significant first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Order(Vec<Criterion>);

/// One criterion of an order.
#[derive(Debug, Clone, PartialEq)]
enum Criterion {
    Value { source: Source, descending: bool },
    Distance { source: Source, from: Point },
}

/// The position of a row in an order, by its values. It stays valid when other rows change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SortKey(Vec<KeyValue>);

/// A row's value for one criterion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum KeyValue {
    #[serde(rename = "t")]
    Term(String),
    #[serde(rename = "m")]
    Metres(f64),
    #[serde(rename = "-")]
    Missing,
}

impl Order {
    /// Adds the values of a field, the lowest first; `$id` is the document's id.
    #[must_use]
    pub fn ascending(self, path: &str) -> Self {
        self.by(path, false)
    }

    /// Adds the values of a field, the highest first; `$id` is the document's id.
    #[must_use]
    pub fn descending(self, path: &str) -> Self {
        self.by(path, true)
    }

    /// Adds the distance of a field's points from `from`, the nearest first.
    #[must_use]
    pub fn near(mut self, path: &str, from: Point) -> Self {
        self.0.push(Criterion::Distance {
            source: Source::named(path),
            from,
        });
        self
    }

    /// Compares two positions.
    pub fn compare(&self, a: &SortKey, b: &SortKey) -> Ordering {
        compare(&self.criteria(), a, b)
    }

    /// Number of criteria.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether rows are sorted by document id only.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `key` has the shape of a position in this order.
    pub fn knows(&self, key: &SortKey) -> bool {
        let criteria = self.criteria();
        criteria.len() == key.0.len()
            && criteria.iter().zip(&key.0).all(|(criterion, value)| {
                matches!(
                    (criterion, value),
                    (_, KeyValue::Missing)
                        | (Criterion::Value { .. }, KeyValue::Term(_))
                        | (Criterion::Distance { .. }, KeyValue::Metres(_))
                )
            })
    }

    fn by(mut self, path: &str, descending: bool) -> Self {
        self.0.push(Criterion::Value {
            source: Source::named(path),
            descending,
        });
        self
    }

    /// The criteria, followed by the document's id as a tie-breaker.
    fn criteria(&self) -> Vec<Criterion> {
        let mut criteria = self.0.clone();
        criteria.truncate(MOST_SORT_KEYS);
        criteria.push(Criterion::Value {
            source: Source::Id,
            descending: false,
        });
        criteria
    }
}

impl SortKey {
    /// The position of a document in the order of ids.
    pub fn of_id(id: &str) -> Self {
        Self(vec![KeyValue::Term(term::string(id))])
    }

    /// The value of the first criterion that is a distance, in metres.
    pub fn distance_m(&self) -> Option<f64> {
        self.0.iter().find_map(|value| match value {
            KeyValue::Metres(metres) => Some(*metres),
            KeyValue::Term(_) | KeyValue::Missing => None,
        })
    }
}

/// A row with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Ordered {
    /// The row.
    pub row: RowId,
    /// Its position.
    pub key: SortKey,
}

/// The first `limit` rows after `after`, only of `rows` if given.
pub(crate) fn ordered(
    searcher: &Searcher,
    rows: Option<&RowSet>,
    order: &Order,
    after: Option<&SortKey>,
    limit: usize,
) -> Result<Vec<Ordered>, IndexError> {
    let criteria = order.criteria();
    let mut first: Vec<Ordered> = Vec::new();
    for segment in searcher.segment_readers() {
        let readers = criteria
            .iter()
            .map(|criterion| CriterionReader::open(segment, criterion))
            .collect::<Result<Vec<_>, _>>()?;
        let after = after.map(|key| rank_of(&readers, key)).transpose()?;
        let mut best = Best::new(limit);
        for document in documents_of(segment, rows)?.iter() {
            let document = document as DocId;
            let rank = rank(&readers, document);
            if after.is_none_or(|after| rank > after) {
                best.offer(rank, document);
            }
        }
        let column = row_column(segment)?;
        for (rank, document) in best.finish() {
            let values = readers
                .iter()
                .zip(rank)
                .map(|(reader, number)| reader.value(number))
                .collect::<Result<Vec<_>, _>>()?;
            first.push(Ordered {
                row: RowId(column.values.get_val(document)),
                key: SortKey(values),
            });
        }
    }
    first.sort_by(|a, b| compare(&criteria, &a.key, &b.key));
    first.truncate(limit);
    Ok(first)
}

fn compare(criteria: &[Criterion], a: &SortKey, b: &SortKey) -> Ordering {
    for ((criterion, a), b) in criteria.iter().zip(&a.0).zip(&b.0) {
        let order = match (a, b) {
            (KeyValue::Term(a), KeyValue::Term(b)) => match criterion {
                Criterion::Value {
                    descending: true, ..
                } => b.cmp(a),
                _ => a.cmp(b),
            },
            (KeyValue::Metres(a), KeyValue::Metres(b)) => a.total_cmp(b),
            (KeyValue::Missing, KeyValue::Missing) => Ordering::Equal,
            (KeyValue::Missing, _) => Ordering::Greater,
            (_, KeyValue::Missing) => Ordering::Less,
            // Values of different kinds: one key is of another order.
            (KeyValue::Term(_), KeyValue::Metres(_)) => Ordering::Less,
            (KeyValue::Metres(_), KeyValue::Term(_)) => Ordering::Greater,
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// A document's values as numbers that are ordered within one segment; unused ones are 0.
type Rank = [u64; MOST_SORT_KEYS + 1];

const LAST: u64 = u64::MAX;

fn rank(readers: &[CriterionReader], document: DocId) -> Rank {
    let mut rank = [0; MOST_SORT_KEYS + 1];
    for (number, reader) in rank.iter_mut().zip(readers) {
        *number = reader.number(document);
    }
    rank
}

fn rank_of(readers: &[CriterionReader], key: &SortKey) -> Result<Rank, IndexError> {
    let mut rank = [0; MOST_SORT_KEYS + 1];
    for ((number, reader), value) in rank.iter_mut().zip(readers).zip(&key.0) {
        *number = reader.number_of(value)?;
    }
    Ok(rank)
}

/// Reads one criterion in one segment.
enum CriterionReader {
    /// No document of the segment has a value.
    Nothing,
    Value {
        column: Column,
        /// Ordinals of the values that have an order.
        values: [Range<u64>; 2],
        descending: bool,
    },
    Distance {
        column: Column,
        /// The ordinal of the first point, and the distance of each point in metres.
        first: u64,
        metres: Vec<f64>,
    },
}

impl CriterionReader {
    fn open(segment: &SegmentReader, criterion: &Criterion) -> Result<Self, IndexError> {
        let (Criterion::Value { source, .. } | Criterion::Distance { source, .. }) = criterion;
        let Some(column) = Column::open(segment, source)? else {
            return Ok(Self::Nothing);
        };
        match criterion {
            Criterion::Value { descending, .. } => Ok(Self::Value {
                values: column.values()?,
                column,
                descending: *descending,
            }),
            Criterion::Distance { from, .. } => {
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
                    ordinals.max().map_or(LAST, |o| reversed(2 * o + 1))
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
                // No distance is negative, so the bits are ordered like the numbers.
                .map_or(LAST, f64::to_bits),
        }
    }

    /// The number of a value. If the segment does not have it, the number is between those of its
    /// neighbours.
    fn number_of(&self, value: &KeyValue) -> Result<u64, IndexError> {
        match (self, value) {
            (
                Self::Value {
                    column, descending, ..
                },
                KeyValue::Term(term),
            ) => {
                let from = column
                    .between(Bound::Included(term), Bound::Unbounded)?
                    .start;
                let number = if column.find(term)?.is_some() {
                    2 * from + 1
                } else {
                    2 * from
                };
                Ok(if *descending {
                    reversed(number)
                } else {
                    number
                })
            }
            (Self::Distance { .. }, KeyValue::Metres(metres)) => Ok(metres.to_bits()),
            // Every value comes before a missing one.
            (Self::Nothing, KeyValue::Term(_) | KeyValue::Metres(_)) => Ok(0),
            _ => Ok(LAST),
        }
    }

    fn value(&self, number: u64) -> Result<KeyValue, IndexError> {
        if number == LAST {
            return Ok(KeyValue::Missing);
        }
        match self {
            Self::Nothing => Ok(KeyValue::Missing),
            Self::Value {
                column, descending, ..
            } => {
                let number = if *descending {
                    reversed(number)
                } else {
                    number
                };
                Ok(KeyValue::Term(column.term(number / 2)?))
            }
            Self::Distance { .. } => Ok(KeyValue::Metres(f64::from_bits(number))),
        }
    }
}

/// The number for the reverse order, still before [`LAST`].
fn reversed(number: u64) -> u64 {
    LAST - 1 - number
}

/// Keeps the first `limit` of the offered documents.
struct Best {
    limit: usize,
    kept: Vec<(Rank, DocId)>,
    /// Once there are enough, the last rank that can still be among the first.
    last: Option<Rank>,
}

impl Best {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: Vec::new(),
            last: None,
        }
    }

    fn offer(&mut self, rank: Rank, document: DocId) {
        if self.limit == 0 || self.last.is_some_and(|last| rank > last) {
            return;
        }
        self.kept.push((rank, document));
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

    fn finish(mut self) -> Vec<(Rank, DocId)> {
        self.kept.sort_unstable();
        self.kept.truncate(self.limit);
        self.kept
    }
}
