//! A vector in a request: a list of numbers, or base64 of little-endian `f32`, which is a third of
//! the size and much faster to parse.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::http::data_uri::decode_base64;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct VectorBody(pub Vec<f32>);

impl<'de> Deserialize<'de> for VectorBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Numbers).map(Self)
    }
}

struct Numbers;

impl<'de> Visitor<'de> for Numbers {
    type Value = Vec<f32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers, or base64 of little-endian 32-bit floats")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Vec<f32>, A::Error> {
        let mut vector = Vec::with_capacity(numbers.size_hint().unwrap_or(512));
        while let Some(number) = numbers.next_element()? {
            vector.push(number);
        }
        Ok(vector)
    }

    fn visit_str<E: Error>(self, base64: &str) -> Result<Vec<f32>, E> {
        let bytes = decode_base64(base64).map_err(|_| E::custom("a vector is not valid base64"))?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(E::custom(format!(
                "a vector's base64 has {} bytes, which is not a multiple of 4",
                bytes.len()
            )));
        }
        Ok(numbers.iter().map(|x| f32::from_le_bytes(*x)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<f32>, serde_json::Error> {
        serde_json::from_str::<VectorBody>(json).map(|vector| vector.0)
    }

    #[test]
    fn both_forms_are_equivalent() {
        assert_eq!(read("[0.5, -2, 1e-3]").unwrap(), [0.5, -2.0, 1e-3]);
        assert_eq!(read(r#""AAAAPwAAAMA=""#).unwrap(), [0.5, -2.0]);
    }

    #[test]
    fn anything_but_a_vector_is_refused() {
        for (json, text) in [
            (r#""AAAAPwAA""#, "6 bytes"),
            (r#""%""#, "not valid base64"),
            ("3", "a list of numbers"),
            (r#"["a"]"#, "f32"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
