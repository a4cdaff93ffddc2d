//! Columns: the values of the metadata for filters, facets and sorting.
//!
//! Every path of the metadata is a column of tantivy: a dictionary of [`term`]s and the ordinals of
//! each document. A condition on a field is a set of ordinals, which is found in the dictionary,
//! followed by a scan of the documents' ordinals.
//!
//! Dots separate nested names, so `{"a": {"b": 1}}` and `{"a.b": 1}` have the same field `a.b`. The
//! elements of an array, also of nested arrays, are values of the array's path, and the fields of
//! objects in an array are values of their own paths.

pub(crate) mod facets;
mod fields;
mod geo;
pub(crate) mod groups;
pub(crate) mod named;
pub(crate) mod order;
pub(crate) mod read;
pub(crate) mod term;

pub use facets::{Facet, Facets};
pub(crate) use fields::found;
pub use fields::{FieldType, Fields, TypeConflict};
pub use geo::Point;
pub use groups::Group;
pub use order::{MOST_SORT_KEYS, Order, Ordered, SortKey};

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tantivy::Searcher;

use crate::error::IndexError;
use crate::row::{Row, VectorKind};

/// The name of tantivy's field that has the columns.
pub(crate) const COLUMNS: &str = "columns";

/// The name of tantivy's field that has the row of each document.
pub(crate) const ROW: &str = "row";

/// Maximum length in bytes of a path that has a column.
pub const LONGEST_PATH: usize = 1024;

/// The property of a document that a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A path in its metadata.
    Field(String),
    /// The document's id, a string.
    Id,
    /// Whether it has a text.
    Text,
    /// Whether it has an image vector.
    Image,
    /// Whether it has a text vector.
    TextVector,
}

impl Source {
    /// The source with this name in filters and orders: a path, or `$id`.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "$id" => Self::Id,
            path => Self::Field(unescaped(path).to_owned()),
        }
    }

    /// The column's name, which has no characters that are special for tantivy.
    pub(crate) fn column(&self) -> String {
        match self {
            Self::Field(path) => named::of_path(path),
            Self::Id => "~:id".to_owned(),
            Self::Text => "~:text".to_owned(),
            Self::Image => "~:image".to_owned(),
            Self::TextVector => "~:text-vector".to_owned(),
        }
    }
}

/// The path of a name: `$$id` is the field `$id` and not the document's id.
pub(crate) fn unescaped(name: &str) -> &str {
    if name.starts_with("$$") {
        &name[1..]
    } else {
        name
    }
}

/// The paths of a document's metadata that have a column.
pub fn field_paths(metadata: &Map<String, Value>) -> impl Iterator<Item = String> {
    terms_by_path(metadata, &Fields::default()).into_keys()
}

/// Whether a segment has a column of the path.
pub(crate) fn has_field(searcher: &Searcher, path: &str) -> Result<bool, IndexError> {
    let source = Source::Field(path.to_owned());
    for segment in searcher.segment_readers() {
        if read::Column::open(segment, &source)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A row's terms by column, each once.
pub(crate) fn of_row(row: &Row<'_>, fields: &Fields) -> Vec<(String, Vec<String>)> {
    let mut columns: Vec<(String, Vec<String>)> = terms_by_path(row.metadata, fields)
        .into_iter()
        .map(|(path, mut terms)| {
            terms.sort_unstable();
            terms.dedup();
            (Source::Field(path).column(), terms)
        })
        .collect();
    columns.push((Source::Id.column(), vec![term::string(row.document)]));
    let mut mark = |there: bool, source: Source| {
        if there {
            columns.push((source.column(), vec![term::OBJECT.to_owned()]));
        }
    };
    mark(row.text.is_some(), Source::Text);
    let has = |wanted| row.vectors.iter().any(|(kind, _)| *kind == wanted);
    mark(has(VectorKind::Image), Source::Image);
    mark(has(VectorKind::Text), Source::TextVector);
    columns
}

fn terms_by_path(metadata: &Map<String, Value>, fields: &Fields) -> BTreeMap<String, Vec<String>> {
    let mut terms = Terms {
        fields,
        by_path: BTreeMap::new(),
    };
    terms.add_object("", metadata);
    terms.by_path.retain(|path, _| path.len() <= LONGEST_PATH);
    terms.by_path
}

pub(crate) fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

struct Terms<'a> {
    fields: &'a Fields,
    by_path: BTreeMap<String, Vec<String>>,
}

impl Terms<'_> {
    fn add_object(&mut self, path: &str, object: &Map<String, Value>) {
        for (name, value) in object {
            self.add_value(&joined(path, name), value);
        }
    }

    fn add_value(&mut self, path: &str, value: &Value) {
        match value {
            Value::Null => self.add(path, term::NULL.to_owned()),
            Value::Array(values) => {
                self.add(path, term::ARRAY.to_owned());
                for value in values {
                    self.add_value(path, value);
                }
            }
            Value::Object(object) => {
                self.add(path, term::OBJECT.to_owned());
                if let Some(point) = Point::of(object) {
                    self.add(path, term::point(point));
                }
                self.add_object(path, object);
            }
            Value::String(text) if self.fields.get(path) == Some(FieldType::Date) => {
                // A write has checked it; any other string is kept as a string.
                self.add(path, term::date(text).unwrap_or_else(|| term::string(text)));
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                if let Some(term) = term::scalar(value) {
                    self.add(path, term);
                }
            }
        }
    }

    fn add(&mut self, path: &str, term: String) {
        self.by_path.entry(path.to_owned()).or_default().push(term);
    }
}
