//! The filter language: selects documents for a search, a listing or a deletion.
//!
//! ```json
//! {"year": {"$gte": 2020}, "tags": "cat", "$or": [{"place.city": "Lyon"}, {"stars": {"$in": [4, 5]}}]}
//! ```
//! A filter is an object, all of whose members must hold; `{}` accepts every document.
//!
//! | member | holds for a document |
//! |---|---|
//! | `"field": value` | with this value: a string, number or boolean; the same as `$eq` |
//! | `"field": null` | whose field is missing or null |
//! | `"field": {"$op": …, …}` | for which all of these operators hold |
//! | `"$and": […]`, `"$or": […]`, `"$not": {…}` | for which all, at least one, or not this filter holds |
//! | `"$id"` | whose id matches, like a field with a string |
//! | `"$text": true`, `"$image": true` | that has a text, an image; `false`: that has none |
//! | `"$$name": value` | like `"field": value` for the field `$name` |
//!
//! | operator | holds if |
//! |---|---|
//! | `$eq`, `$in` | one of the field's values equals this value, one of these values |
//! | `$ne`, `$nin` | `$eq`, `$in` does not hold, also if the field is missing |
//! | `$gt`, `$gte`, `$lt`, `$lte` | one of the field's values compares so; several of them form an interval that must contain one value |
//! | `$exists` | the field exists, null or not; `false`: it does not |
//! | `$contains` | the field is a string that contains this string, or an array that contains this element |
//! | `$not` | the operators inside do not hold |
//! | `$geo_radius` | a point lies within `radius_m` metres of `lat`, `lon` |
//! | `$geo_box` | a point lies between `top_left` and `bottom_right` |
//!
//! **Fields.** Dots separate the names of nested objects, and a name with dots is the same field:
//! `{"a": {"b": 1}}` and `{"a.b": 1}` both have `a.b`. The elements of an array are the field's
//! values, and a field of objects in an array has the values of all of them.
//!
//! **Values** are compared only with values of their own type: `{"year": "2024"}` matches no number.
//! Comparisons of numbers are exact, also between integers and floats. Strings are compared byte by
//! byte, so case counts and upper case comes first. Strings over 16 KiB are equal only if they are
//! completely equal, but only their first 16 KiB are ordered and searched. Booleans and points have
//! no order. In a field that the collection declares as `date`, strings on both sides are RFC 3339
//! timestamps or days and are compared as instants; in other fields a date is a string. `$contains`
//! does not match parts of a date. For a declared field, an operand of another type is an error,
//! since it could match nothing.
//!
//! A list is not a value (`{"tags": ["a", "b"]}`): use `$in` for any of its elements, or several
//! conditions in `$and` for all of them.

mod cache;
mod error;
mod evaluate;
mod parse;

pub use error::FilterError;

use std::ops::Bound;

use crate::columns::{Point, Source};
use crate::row::VectorKind;

pub(crate) use cache::FilterCache;

/// A parsed filter, validated against the declared fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    root: Node,
}

impl Filter {
    /// The filter for documents with a vector of one of these kinds.
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

    /// The filter that accepts every document.
    pub fn all() -> Self {
        Self {
            root: Node::All(Vec::new()),
        }
    }

    /// Whether it has no conditions, like `{}` and `{"$and": [{}]}`, and accepts every document.
    pub fn is_empty(&self) -> bool {
        self.root.has_no_conditions()
    }
}

impl Node {
    fn has_no_conditions(&self) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(Self::has_no_conditions),
            Self::Any(nodes) => nodes.iter().any(Self::has_no_conditions),
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

/// A condition that one value of a field must meet. Values are terms of the field's column.
#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// Any term, including markers.
    Exists,
    /// One of these terms; sorted.
    OneOf(Vec<String>),
    /// A term between two others.
    Between(Bound<String>, Bound<String>),
    /// A string that contains this string.
    Contains(String),
    /// A point within a distance of another.
    Within { middle: Point, radius_m: f64 },
    /// A point inside a box.
    Inside(GeoBox),
}

/// A box between two latitudes and two longitudes. Its western longitude may be greater than its
/// eastern one: then it crosses the 180° meridian.
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
