//! Why JSON or a query string does not have the type that a request needs, by kind and field.

use std::cell::Cell;
use std::fmt::{self, Display, Write};

use clipdb_engine::excerpt;
use serde::de::{Error, Expected, Unexpected};

use crate::http::error::ApiError;

/// The reason, the field and the message.
#[derive(Debug)]
pub(crate) struct JsonError {
    pub kind: JsonErrorKind,
    /// The field that has the wrong value, or the object that has an unknown field: `limit`,
    /// `query[2].text`. Empty for the outermost value, and for an error of the syntax.
    pub field: String,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonErrorKind {
    /// The text is not JSON.
    Syntax,
    UnknownField,
    /// A value has the wrong type or is out of range, or a field is missing.
    InvalidValue,
}

impl From<JsonError> for ApiError {
    fn from(error: JsonError) -> Self {
        let message = match error.field.as_str() {
            "" => error.message,
            field => format!("'{}': {}", excerpt(field), error.message),
        };
        match error.kind {
            JsonErrorKind::Syntax => Self::InvalidJson(message),
            JsonErrorKind::UnknownField => Self::UnknownField(message),
            JsonErrorKind::InvalidValue => Self::InvalidField(message),
        }
    }
}

/// A deserializer's error `E` with its kind and field, which a [`Deserialize`](serde::Deserialize)
/// implementation reports and `E` keeps as text only.
#[derive(Debug)]
pub(super) struct Located<E> {
    pub(super) error: E,
    details: Option<Box<Details>>,
}

#[derive(Debug, Default)]
struct Details {
    /// `None` for an error that `E`'s own deserializer reported.
    kind: Option<JsonErrorKind>,
    /// From the innermost value outward.
    path: Vec<Segment>,
}

#[derive(Debug)]
enum Segment {
    Key(String),
    Index(usize),
}

impl<E> Located<E> {
    fn new(error: E, kind: JsonErrorKind) -> Self {
        let details = Details {
            kind: Some(kind),
            path: Vec::new(),
        };
        Self {
            error,
            details: Some(Box::new(details)),
        }
    }

    /// The error of a value under `key`.
    pub(super) fn under_key(mut self, key: &str) -> Self {
        self.push(Segment::Key(key.to_owned()));
        self
    }

    /// The error of the list's value at `index`.
    pub(super) fn at_index(mut self, index: usize) -> Self {
        self.push(Segment::Index(index));
        self
    }

    fn push(&mut self, segment: Segment) {
        self.details.get_or_insert_default().path.push(segment);
    }

    /// `fallback` is the kind of an error that the deserializer itself reported.
    pub(super) fn finish(self, fallback: JsonErrorKind) -> JsonError
    where
        E: Display,
    {
        let details = self.details.unwrap_or_default();
        let kind = details.kind.unwrap_or(fallback);
        JsonError {
            kind,
            field: match kind {
                JsonErrorKind::Syntax => String::new(),
                _ => details.field(),
            },
            message: self.error.to_string(),
        }
    }
}

impl Details {
    fn field(&self) -> String {
        let mut field = String::new();
        for segment in self.path.iter().rev() {
            // A String takes whatever is written to it.
            let _ = match segment {
                Segment::Index(index) => write!(field, "[{index}]"),
                Segment::Key(key) if field.is_empty() => field.write_str(key),
                Segment::Key(key) => write!(field, ".{key}"),
            };
        }
        field
    }
}

impl<E: Display> Display for Located<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl<E: std::error::Error> std::error::Error for Located<E> {}

impl<E: Error> Error for Located<E> {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(E::custom(message), JsonErrorKind::InvalidValue)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = Found(found);
        Self::custom(format_args!("invalid type: {found}, expected {expected}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let error = E::unknown_field(field, expected);
        Self::new(error, JsonErrorKind::UnknownField)
    }
}

/// A value in the terms of JSON.
struct Found<'a>(Unexpected<'a>);

impl Display for Found<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Unit => formatter.write_str("null"),
            Unexpected::Seq => formatter.write_str("a list"),
            Unexpected::Map => formatter.write_str("an object"),
            other => other.fmt(formatter),
        }
    }
}

/// Carries the details of an error past the foreign deserializer that returns it: serde's traits
/// leave the type of the error to that deserializer.
#[derive(Default)]
pub(super) struct Slot(Cell<Option<Box<Details>>>);

impl Slot {
    /// Keeps the details and returns the bare error.
    pub(super) fn put<T, E>(&self, result: Result<T, Located<E>>) -> Result<T, E> {
        result.map_err(|located| {
            self.0.set(located.details);
            located.error
        })
    }

    /// Returns the error with the details that [`put`](Self::put) kept.
    pub(super) fn take<T, E>(&self, result: Result<T, E>) -> Result<T, Located<E>> {
        result.map_err(|error| Located {
            error,
            details: self.0.take(),
        })
    }
}
