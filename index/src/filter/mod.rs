//! The filter language: which documents a search, a list or a deletion is about.
//!
//! ```json
//! {"year": {"$gte": 2020}, "tags": "cat", "$or": [{"place.city": "Lyon"}, {"stars": {"$in": [4, 5]}}]}
//! ```
//! A filter is an object, all of whose members must hold; `{}` is every document.
//!
//! | member | holds for a document |
//! |---|---|
//! | `"field": value` | with this value: a string, number or boolean; the same as `$eq` |
//! | `"field": null` | whose field is missing or null |
//! | `"field": {"$op": …, …}` | for which all of these operators hold |
//! | `"$and": […]`, `"$or": […]`, `"$not": {…}` | for which all, one, or not this filter holds |
//! | `"$id"` | whose id is so; as a field that holds a string |
//! | `"$text": true`, `"$image": true` | that has a text, a picture; `false`: that has none |
//! | `"$$name": value` | as `"field": value` of the field `$name` |
//!
//! | operator | holds when |
//! |---|---|
//! | `$eq`, `$in` | one of the field's values is this, one of these |
//! | `$ne`, `$nin` | `$eq`, `$in` does not hold: also where the field is missing |
//! | `$gt`, `$gte`, `$lt`, `$lte` | one of the field's values lies so; several of them form one interval, in which one value must lie |
//! | `$exists` | the field is there, null or not; `false`: it is not |
//! | `$contains` | the field is a string with this string in it, or an array with this element |
//! | `$not` | the operators inside do not hold |
//! | `$geo_radius` | a point lies within `radius_m` metres of `lat`, `lon` |
//! | `$geo_box` | a point lies between `top_left` and `bottom_right` |
//!
//! **Fields.** Dots reach inside objects, and a name with dots is the same field:
//! `{"a": {"b": 1}}` and `{"a.b": 1}` both have `a.b`. The elements of an array are the
//! field's values, and fields of objects in an array have the values of all of them.
//!
//! **Values** compare only with those of their own type: `{"year": "2024"}` finds no number.
//! Numbers compare exactly, whole and fractional ones with each other. Strings are equal and
//! ordered byte by byte, so upper case counts and comes before lower. Strings over 16 KiB
//! are equal when they are, but are ordered and searched inside by their first 16 KiB.
//! Booleans and points have no order. In a field that the collection declares as `date`,
//! strings on both sides are RFC 3339 timestamps or days and compare as instants; in any
//! other field a date is a string. No part of a date is in it (`$contains`). For a declared field an operand of another type is an
//! error, since it could find nothing.
//!
//! A list is no value (`{"tags": ["a", "b"]}`): `$in` means one of them, several conditions
//! under `$and` mean all.

mod error;
mod evaluate;
mod kept;
mod parse;

pub use error::FilterError;

use std::ops::Bound;

use crate::columns::{Point, Source};
use crate::row::VectorKind;

pub(crate) use kept::KeptSets;

/// A filter, parsed and checked against the declared fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    root: Node,
}

impl Filter {
    /// What has a vector of one of these kinds.
    pub(crate) fn of_vectors(kinds: &[VectorKind]) -> Self {
        let has = |kind: &VectorKind| {
            let source = match kind {
                VectorKind::Image => Source::Image,
                VectorKind::Text => Source::TextVector,
            };
            Node::Field(source, Test::Exists)
        };
        Self {
            root: Node::Any(kinds.iter().map(has).collect()),
        }
    }

    /// Every document.
    pub fn all() -> Self {
        Self {
            root: Node::All(Vec::new()),
        }
    }

    /// Whether it asks for nothing, as `{}` and `{"$and": [{}]}` do: every document passes.
    pub fn is_empty(&self) -> bool {
        self.root.asks_nothing()
    }
}

impl Node {
    fn asks_nothing(&self) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(Self::asks_nothing),
            Self::Any(nodes) => nodes.iter().any(Self::asks_nothing),
            Self::Not(_) | Self::Field(..) => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Field(Source, Test),
}

/// What one of a field's values must be. Values are terms of its column.
#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// There is anything, a mark at least.
    Exists,
    /// One of these terms; sorted.
    OneOf(Vec<String>),
    Between(Bound<String>, Bound<String>),
    /// A string with this in it.
    Holds(String),
    Within {
        middle: Point,
        radius_m: f64,
    },
    Inside(GeoBox),
}

/// North and south of each other the usual way; west may lie east of east, across 180°.
#[derive(Debug, Clone, Copy, PartialEq)]
struct GeoBox {
    top_left: Point,
    bottom_right: Point,
}

impl GeoBox {
    fn contains(&self, point: Point) -> bool {
        let (west, east) = (self.top_left.lon, self.bottom_right.lon);
        let across = if west <= east {
            (west..=east).contains(&point.lon)
        } else {
            point.lon >= west || point.lon <= east
        };
        across && (self.bottom_right.lat..=self.top_left.lat).contains(&point.lat)
    }
}
