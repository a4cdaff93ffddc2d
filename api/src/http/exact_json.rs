//! JSON that clients send, without silent loss: a duplicate key, of which a parser would keep the
//! last, and an integer of more than 64 bits, which would become a float, are errors.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

use crate::http::error::ApiError;
use clipdb_engine::excerpt;

/// An object without duplicate keys at any depth.
#[derive(Debug, Default)]
pub(crate) struct UniqueMap(pub Map<String, Value>);

/// A value without duplicate keys at any depth.
#[derive(Debug)]
pub(crate) struct UniqueValue(pub Value);

impl<'de> Deserialize<'de> for UniqueMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object).map(Self)
    }
}

impl<'de> Deserialize<'de> for UniqueValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any).map(Self)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!(
                    "the key '{}' is duplicated in one object",
                    excerpt(&key)
                )));
            }
            map.insert(key, object.next_value_seed(Any)?);
        }
        Ok(map)
    }
}

#[derive(Clone, Copy)]
struct Any;

impl<'de> DeserializeSeed<'de> for Any {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Value, A::Error> {
        Object.visit_map(object).map(Value::Object)
    }
}

/// # Errors
/// An integer in `json`, which has to be valid JSON, needs more than 64 bits.
pub(crate) fn check_whole_numbers(json: &[u8]) -> Result<(), ApiError> {
    let mut at = 0;
    while at < json.len() {
        match json[at] {
            b'"' => at = string_end(json, at).unwrap_or(json.len()),
            b'-' | b'0'..=b'9' => {
                let number = &json[at..];
                let end = number
                    .iter()
                    .position(|byte| {
                        !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
                    })
                    .unwrap_or(number.len());
                check_whole_number(&number[..end])?;
                at += end;
            }
            _ => at += 1,
        }
    }
    Ok(())
}

fn check_whole_number(number: &[u8]) -> Result<(), ApiError> {
    /// Any number of so many digits fits 64 bits.
    const SAFE: usize = 18;
    if number.len() <= SAFE {
        return Ok(());
    }
    let Ok(text) = std::str::from_utf8(number) else {
        return Ok(());
    };
    let is_whole = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-'));
    if !is_whole || text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok() {
        return Ok(());
    }
    Err(ApiError::InvalidField(format!(
        "the integer {} needs more than 64 bits; send it as a string, or with a fraction \
         or an exponent if it is a float",
        excerpt(text)
    )))
}

/// The position after the string whose opening quote is at `at`; `None` if it is not closed.
pub(crate) fn string_end(json: &[u8], mut at: usize) -> Option<usize> {
    at += 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', json.get(at..)?)?;
        if json[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::parse;

    #[test]
    fn json_without_duplicates_is_parsed_like_serde_json() {
        let json = r#"{"a": [1, -2, 18446744073709551615, 0.5, 1e300, null, true],
                       "b": {"a": {"a": "\u00fc\ud83d\ude00"}}, "": {}}"#;
        let map: UniqueMap = parse(json.as_bytes()).unwrap();
        let plain: Value = serde_json::from_str(json).unwrap();
        assert_eq!(Value::Object(map.0), plain);
        let value: UniqueValue = parse(json.as_bytes()).unwrap();
        assert_eq!(value.0, plain);
    }

    #[test]
    fn duplicate_keys_are_named() {
        for (json, key) in [
            (r#"{"year": 1, "year": 1}"#, "'year'"),
            (r#"{"a": [{"b": {"c": 1, "d": 2, "\u0063": 3}}]}"#, "'c'"),
        ] {
            let map = parse::<UniqueMap>(json.as_bytes()).unwrap_err();
            let value = parse::<UniqueValue>(json.as_bytes()).unwrap_err();
            for error in [map, value] {
                assert!(matches!(error, ApiError::InvalidField(_)), "{error}");
                assert!(error.to_string().contains(key), "{error}");
            }
        }
        assert!(parse::<UniqueMap>(b"[]").is_err());
    }

    #[test]
    fn integers_have_to_fit_64_bits() {
        for json in [
            "[18446744073709551615, -9223372036854775808, 1e30, 1.00000000000000000000000]",
            r#"{"99999999999999999999": "99999999999999999999 \" 99999999999999999999"}"#,
            "[100000000000000000000.0, 100000000000000000000e0]",
        ] {
            assert!(check_whole_numbers(json.as_bytes()).is_ok(), "{json}");
        }
        for json in ["[18446744073709551616]", r#"{"a": -9223372036854775809}"#] {
            let error = check_whole_numbers(json.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("64 bits"), "{error}");
        }
    }
}
