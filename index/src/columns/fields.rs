//! Declared fields of a collection, and validation of the values that documents put in them.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::geo::Point;
use super::term;

/// The type of a declared field. A field holds one value of its type, an array of them, or null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// A signed or unsigned 64-bit integer; `2.0` is one.
    Integer,
    /// Any number.
    Number,
    /// Text.
    String,
    /// `true` or `false`.
    Boolean,
    /// An RFC 3339 timestamp or a day, compared as an instant.
    Date,
    /// `{"lat", "lon"}` in degrees.
    Geo,
}

/// The declared fields of a collection by path. Dots separate the names of nested objects. A field
/// that is not declared accepts any value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(BTreeMap<String, FieldType>);

/// A document's value has another type than its field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the metadata field '{field}' is declared as {expected} in this collection, but the value is {found}"
)]
pub struct TypeConflict {
    /// The field's path.
    pub field: String,
    /// The declared type.
    pub expected: FieldType,
    /// A description of the value.
    pub found: String,
}

impl FieldType {
    /// Its name in a collection's definition.
    pub fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Geo => "geo",
        }
    }

    fn accepts(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Integer, Value::Number(number)) => {
                number.is_i64()
                    || number.is_u64()
                    || number.as_f64().is_some_and(|float| {
                        float.fract() == 0.0 && float.abs() <= (1u64 << 53) as f64
                    })
            }
            (Self::Number, Value::Number(_))
            | (Self::String, Value::String(_))
            | (Self::Boolean, Value::Bool(_)) => true,
            (Self::Date, Value::String(text)) => term::date(text).is_some(),
            (Self::Geo, Value::Object(object)) => Point::of(object).is_some(),
            _ => false,
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Date => "date (an RFC 3339 timestamp or YYYY-MM-DD)",
            Self::Geo => "geo ({\"lat\", \"lon\"} in degrees)",
            _ => self.name(),
        })
    }
}

impl Fields {
    /// The type of the field at this path; `None` if it is not declared.
    pub fn get(&self, path: &str) -> Option<FieldType> {
        self.0.get(path).copied()
    }

    /// Validates the metadata of a document, or a merge patch, in which null removes a field.
    ///
    /// # Errors
    /// The first value that has another type than its field.
    pub fn check(&self, metadata: &Map<String, Value>) -> Result<(), TypeConflict> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.check_object("", metadata)
    }

    fn check_object(&self, at: &str, object: &Map<String, Value>) -> Result<(), TypeConflict> {
        object
            .iter()
            .try_for_each(|(name, value)| self.check_value(&super::joined(at, name), value))
    }

    fn check_value(&self, path: &str, value: &Value) -> Result<(), TypeConflict> {
        if let Value::Array(values) = value {
            return values
                .iter()
                .try_for_each(|value| self.check_value(path, value));
        }
        if let Some(expected) = self.get(path)
            && !value.is_null()
            && !expected.accepts(value)
        {
            return Err(TypeConflict {
                field: path.to_owned(),
                expected,
                found: found(value),
            });
        }
        match value {
            Value::Object(object) => self.check_object(path, object),
            _ => Ok(()),
        }
    }
}

impl FromIterator<(String, FieldType)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, FieldType)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

/// Describes a value in an error message.
pub(crate) fn found(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => format!("the boolean {flag}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => {
            let start: String = text.chars().take(40).collect();
            let more = if start.len() < text.len() { "…" } else { "" };
            format!("the string {start:?}{more}")
        }
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn conflict(metadata: Value) -> Option<TypeConflict> {
        let fields: Fields = [
            ("year", FieldType::Integer),
            ("price", FieldType::Number),
            ("name", FieldType::String),
            ("new", FieldType::Boolean),
            ("seen.at", FieldType::Date),
            ("place", FieldType::Geo),
        ]
        .into_iter()
        .map(|(path, kind)| (path.to_owned(), kind))
        .collect();
        let Value::Object(metadata) = metadata else {
            unreachable!()
        };
        fields.check(&metadata).err()
    }

    #[test]
    fn values_of_the_declared_type_are_accepted() {
        for metadata in [
            json!({}),
            json!({"year": 2024, "price": 1.5, "name": "", "new": false}),
            json!({"year": [2024, 2025.0], "price": 3, "other": {"year": "x"}}),
            json!({"year": null, "year.x": "any", "seen": {"at": "2024-05-01T00:00:00Z"}}),
            json!({"seen": [{"at": "2024-05-01"}, {"at": null}], "place": {"lat": 1, "lon": 2.5}}),
            json!({"year": u64::MAX, "seen.at": "2024-05-01"}),
        ] {
            assert_eq!(conflict(metadata.clone()), None, "{metadata}");
        }
    }

    #[test]
    fn other_values_are_reported() {
        for (metadata, field, found) in [
            (json!({"year": "2024"}), "year", "the string \"2024\""),
            (json!({"year": 1.5}), "year", "the number 1.5"),
            (json!({"year": [1, true]}), "year", "the boolean true"),
            (json!({"name": {"a": 1}}), "name", "an object"),
            (
                json!({"seen": {"at": "today"}}),
                "seen.at",
                "the string \"today\"",
            ),
            (json!({"seen.at": 5}), "seen.at", "the number 5"),
            (
                json!({"place": {"lat": 91, "lon": 0}}),
                "place",
                "an object",
            ),
            (json!({"place": {"lat": 9}}), "place", "an object"),
        ] {
            let conflict = conflict(metadata).unwrap();
            assert_eq!(
                (conflict.field.as_str(), conflict.found.as_str()),
                (field, found)
            );
        }
    }
}
