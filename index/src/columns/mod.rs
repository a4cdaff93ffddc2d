//! Columns: the values of a document's metadata, as filters, facets and sorting read them.
//!
//! Every path of the metadata is one column of tantivy's, a dictionary of [`term`]s and the
//! documents' ordinals in it. Whatever is asked of a field is a set of ordinals, found in
//! the dictionary, and a scan of the ordinals.
//!
//! Dots join names, so `{"a": {"b": 1}}` and `{"a.b": 1}` are one field `a.b`. An array's
//! elements are values of its own path, arrays inside arrays too, and the fields of objects
//! inside an array are values of theirs.

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
pub use order::{MOST_SORT_KEYS, Order, Ordered, Place};

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tantivy::Searcher;

use crate::error::IndexError;
use crate::row::{Row, VectorKind};

/// The name of the field whose columns these are.
pub(crate) const COLUMNS: &str = "columns";

/// Bytes of the longest path that has a column.
pub const LONGEST_PATH: usize = 1024;

/// What of a document a column is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A path in its metadata.
    Field(String),
    /// Its own id, a string.
    Id,
    /// Whether it has a text.
    Text,
    /// Whether it has a picture's vector.
    Image,
    /// Whether it has a text's vector.
    TextVector,
}

impl Source {
    /// As filters and orders name it: a path, or `$id`.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "$id" => Self::Id,
            path => Self::Field(unescaped(path).to_owned()),
        }
    }

    /// The column's name: of letters only that tantivy takes for nothing else.
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

/// The path that a name means: `$$id` is the field `$id` and not the document's id.
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
                // Writing checked it; a string that is no date is kept as what it is.
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
