//! Query strings, parsed with the same errors as JSON.

use std::borrow::Cow;

use actix_web::HttpRequest;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::http::error::ApiError;
use crate::http::exact_json::UniqueValue;
use crate::http::json_error::{JsonError, JsonErrorKind, Located};
use crate::http::strict_json;

/// Parses the request's query string.
///
/// # Errors
/// A parameter is unknown, is given twice, or has the wrong type.
pub(crate) fn parse<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, ApiError> {
    read(request.query_string()).map_err(ApiError::from)
}

/// Parses the JSON of a `filter` parameter.
pub(crate) fn parse_filter(filter: &str) -> Result<serde_json::Value, ApiError> {
    strict_json::read::<UniqueValue>(filter.as_bytes())
        .map(|filter| filter.0)
        .map_err(|error| {
            let message = error.message;
            ApiError::InvalidField(format!("'filter' is not percent-encoded JSON: {message}"))
        })
}

fn read<T: DeserializeOwned>(query: &str) -> Result<T, JsonError> {
    let pairs = Pairs {
        pairs: form_urlencoded::parse(query.as_bytes()),
        current: None,
    };
    T::deserialize(MapAccessDeserializer::new(pairs))
        .map_err(|error| error.finish(JsonErrorKind::InvalidValue))
}

type QueryError = Located<serde::de::value::Error>;

struct Pairs<'de> {
    pairs: form_urlencoded::Parse<'de>,
    /// The parameter whose name was read last.
    current: Option<(Cow<'de, str>, Cow<'de, str>)>,
}

impl<'de> MapAccess<'de> for Pairs<'de> {
    type Error = QueryError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, QueryError> {
        self.current = self.pairs.next();
        match &self.current {
            Some((name, _)) => seed.deserialize(name.clone().into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, QueryError> {
        // serde asks for a value after its name only.
        let (name, value) = self.current.take().unwrap_or_default();
        seed.deserialize(Parameter(value))
            .map_err(|error| error.under_key(&name))
    }
}

/// A parameter's value, which is parsed as the type that is asked for.
struct Parameter<'de>(Cow<'de, str>);

macro_rules! parsed {
    ($($method:ident => $visit:ident, $expected:literal;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(Error::invalid_type(Unexpected::Str(&self.0), &$expected)),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Parameter<'de> {
    type Error = QueryError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        match self.0 {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    parsed! {
        deserialize_bool => visit_bool, "true or false";
        deserialize_i64 => visit_i64, "a whole number";
        deserialize_u32 => visit_u32, "a whole number from 0 to 4294967295";
        deserialize_u64 => visit_u64, "a whole number from 0";
        deserialize_f32 => visit_f32, "a number";
        deserialize_f64 => visit_f64, "a number";
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u128 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Query {
        q: Option<String>,
        limit: Option<usize>,
        width: Option<u32>,
        least: Option<f32>,
        #[serde(default)]
        explain: bool,
        mode: Option<Mode>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        Hybrid,
    }

    #[test]
    fn parameters_are_parsed_by_type() {
        assert_eq!(read::<Query>("").unwrap(), Query::default());
        let query: Query = read(
            "q=a+b%26%C3%BC&limit=18446744073709551615&width=7&least=0.5&explain=true&mode=hybrid",
        )
        .unwrap();
        let expected = Query {
            q: Some("a b&ü".to_owned()),
            limit: Some(usize::MAX),
            width: Some(7),
            least: Some(0.5),
            explain: true,
            mode: Some(Mode::Hybrid),
        };
        assert_eq!(query, expected);
        assert_eq!(read::<Query>("q=").unwrap().q.as_deref(), Some(""));
    }

    #[test]
    fn errors_name_the_parameter() {
        use JsonErrorKind::{InvalidValue, UnknownField};
        for (query, kind, field, text) in [
            ("limt=1", UnknownField, "", "unknown field `limt`"),
            ("%6cimt", UnknownField, "", "unknown field `limt`"),
            ("limit=", InvalidValue, "limit", "a whole number from 0"),
            ("limit=-1", InvalidValue, "limit", "a whole number from 0"),
            ("limit=1.0", InvalidValue, "limit", "a whole number from 0"),
            ("width=4294967296", InvalidValue, "width", "to 4294967295"),
            ("explain=yes", InvalidValue, "explain", "true or false"),
            ("mode=fast", InvalidValue, "mode", "unknown variant `fast`"),
            (
                "limit=1&limit=2",
                InvalidValue,
                "",
                "duplicate field `limit`",
            ),
        ] {
            let error = read::<Query>(query).unwrap_err();
            assert_eq!((error.kind, error.field.as_str()), (kind, field), "{query}");
            assert!(error.message.contains(text), "{query}: {}", error.message);
        }
    }
}
