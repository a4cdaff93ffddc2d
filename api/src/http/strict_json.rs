//! JSON as serde reads it, but for three things: an object is an object, of which serde takes
//! a list as well, field after field; what was expected is told in JSON's words; and an error
//! knows the field it is about.

use std::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde_path_to_error::{Deserializer as Tracked, Segment, Track};

/// Why a JSON could not be read.
#[derive(Debug)]
pub(crate) struct Misread {
    pub error: serde_json::Error,
    /// The field that does not fit, or holds one that is unknown: `limit`, `query[2].text`.
    /// Empty for the whole, and where that is not known.
    pub field: String,
}

/// # Errors
/// It is not JSON, or not a `T`.
pub(crate) fn read<'json, T: Deserialize<'json>>(json: &'json [u8]) -> Result<T, Misread> {
    read_plainly(json).map_err(|error| Misread {
        field: match error.is_data() {
            // Read once more, since keeping track of the field slows down what fits.
            true => field_that_fails::<T>(json, is_unknown_field(&error)),
            false => String::new(),
        },
        error,
    })
}

/// Whether it says which field nobody knows.
pub(crate) fn is_unknown_field(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("unknown field")
}

fn read_plainly<'json, T: Deserialize<'json>>(json: &'json [u8]) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = T::deserialize(Shaped(&mut deserializer))?;
    deserializer.end()?;
    Ok(value)
}

fn field_that_fails<'json, T: Deserialize<'json>>(json: &'json [u8], is_unknown: bool) -> String {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let mut track = Track::new();
    if T::deserialize(Tracked::new(Shaped(&mut deserializer), &mut track)).is_ok() {
        return String::new();
    }
    let path = track.path();
    let known = path.iter().len().saturating_sub(usize::from(is_unknown));
    let mut field = String::new();
    for segment in path.iter().take(known) {
        match segment {
            Segment::Seq { index } => field.push_str(&format!("[{index}]")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                if !field.is_empty() {
                    field.push('.');
                }
                field.push_str(key);
            }
            Segment::Unknown => return String::new(),
        }
    }
    field
}

const NATURAL: &str = "a whole number from 0";
const WHOLE: &str = "a whole number";
/// Whole numbers below it are exact as floating-point numbers: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;
const NUMBER: &str = "a number";
const LIST: &str = "a list";
const OBJECT: &str = "an object";

/// Hands its visitors on with their words for what they expect.
struct Shaped<D>(D);

macro_rules! visited {
    ($($method:ident $(($($argument:ident: $of:ty),*))? => $expected:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(
            self,
            $($($argument: $of,)*)?
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.0.$method($($($argument,)*)? Worded { visitor, expected: $expected })
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Shaped<D> {
    type Error = D::Error;

    visited! {
        deserialize_any => None;
        deserialize_bool => Some("true or false");
        deserialize_i8 => Some(WHOLE);
        deserialize_i16 => Some(WHOLE);
        deserialize_i32 => Some(WHOLE);
        deserialize_i64 => Some(WHOLE);
        deserialize_u8 => Some("a whole number from 0 to 255");
        deserialize_u16 => Some("a whole number from 0 to 65535");
        deserialize_u32 => Some("a whole number from 0 to 4294967295");
        deserialize_u64 => Some(NATURAL);
        deserialize_f32 => Some(NUMBER);
        deserialize_f64 => Some(NUMBER);
        deserialize_char => None;
        deserialize_str => None;
        deserialize_string => None;
        deserialize_bytes => None;
        deserialize_byte_buf => None;
        deserialize_option => None;
        deserialize_unit => None;
        deserialize_unit_struct(name: &'static str) => None;
        // Under one of these names serde_json gives a value's own text.
        deserialize_newtype_struct(name: &'static str) => None;
        deserialize_seq => Some(LIST);
        deserialize_tuple(length: usize) => Some(LIST);
        deserialize_tuple_struct(name: &'static str, length: usize) => Some(LIST);
        deserialize_map => Some(OBJECT);
        deserialize_identifier => None;
        deserialize_ignored_any => None;
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Worded {
            visitor,
            expected: Some(OBJECT),
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Choice { visitor, variants })
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

struct Worded<V> {
    visitor: V,
    expected: Option<&'static str>,
}

impl<V> Worded<V> {
    /// What the visitor made of a single value, or that this was not expected.
    fn worded<T, E: Error>(
        expected: Option<&'static str>,
        found: Unexpected,
        visited: Result<T, E>,
    ) -> Result<T, E> {
        match expected {
            None => visited,
            Some(expected) => visited.map_err(|_| E::invalid_type(found, &expected)),
        }
    }
}

macro_rules! single {
    ($($method:ident($of:ty) => $found:expr;)*) => {
        $(fn $method<E: Error>(self, value: $of) -> Result<V::Value, E> {
            let found = $found;
            Self::worded(self.expected, found(value), self.visitor.$method(value))
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Worded<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.expected {
            Some(expected) => f.write_str(expected),
            None => self.visitor.expecting(f),
        }
    }

    single! {
        visit_bool(bool) => Unexpected::Bool;
        visit_i64(i64) => Unexpected::Signed;
        visit_u64(u64) => Unexpected::Unsigned;
        visit_str(&str) => Unexpected::Str;
        visit_borrowed_str(&'de str) => Unexpected::Str;
    }

    /// JSON knows one kind of numbers: 18.0 is 18.
    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        let wants_whole = self
            .expected
            .is_some_and(|expected| expected.starts_with(WHOLE));
        if wants_whole && value.fract() == 0.0 && value.abs() < EXACT {
            return if value < 0.0 {
                self.visit_i64(value as i64)
            } else {
                self.visit_u64(value as u64)
            };
        }
        let visited = self.visitor.visit_f64(value);
        Self::worded(self.expected, Unexpected::Float(value), visited)
    }

    fn visit_string<E: Error>(self, value: String) -> Result<V::Value, E> {
        self.visitor.visit_string(value)
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<V::Value, E> {
        self.visitor.visit_bytes(value)
    }

    fn visit_borrowed_bytes<E: Error>(self, value: &'de [u8]) -> Result<V::Value, E> {
        self.visitor.visit_borrowed_bytes(value)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Shaped(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Shaped(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Inside(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Inside(object))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(variant)
    }
}

/// One of some words.
struct Choice<V> {
    visitor: V,
    variants: &'static [&'static str],
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Choice<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "one of \"{}\"", self.variants.join("\", \""))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<V::Value, E> {
        self.visitor.visit_enum(word.into_deserializer())
    }
}

/// The values of a list or of an object.
struct Inside<A>(A);

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Inside<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Seed(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Inside<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(Seed(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

struct Seed<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Shaped(inner))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        size: Option<usize>,
        share: Option<f32>,
        word: Option<Word>,
        inner: Option<Vec<Inner>>,
        named: Option<BTreeMap<String, Inner>>,
        any: Option<Value>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        text: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        Yes,
        No,
    }

    #[test]
    fn what_fits_is_read_as_ever() {
        let json = json!({
            "size": 3, "share": 2, "word": "no", "inner": [{ "text": "a" }],
            "named": { "b": { "text": "c", "more": 1 } }, "any": [1, { "d": [null, 0.5, true] }],
        });
        let text = json.to_string();
        assert_eq!(
            read::<Outer>(text.as_bytes()).unwrap(),
            serde_json::from_str(&text).unwrap()
        );
        assert_eq!(read::<Value>(text.as_bytes()).unwrap(), json);
        let raw: Vec<&RawValue> = read(br#"[{"a": 1}, [2 ]]"#).unwrap();
        assert_eq!([raw[0].get(), raw[1].get()], [r#"{"a": 1}"#, "[2 ]"]);
        assert!(read::<Value>(b"{} {}").is_err());
        for json in [r#"{"size": 3.0}"#, r#"{"size": 0.3e1}"#] {
            assert_eq!(read::<Outer>(json.as_bytes()).unwrap().size, Some(3));
        }
        for json in [
            r#"{"size": -3.0}"#,
            r#"{"size": 3.5}"#,
            r#"{"size": 1e300}"#,
        ] {
            assert!(read::<Outer>(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn what_does_not_is_told_in_words() {
        let natural = "expected a whole number from 0";
        for (json, field, said) in [
            ("[3]", "", "expected an object"),
            (r#"{"inner": [["a"]]}"#, "inner[0]", "expected an object"),
            (
                r#"{"named": {"a": ["a"]}}"#,
                "named.a",
                "expected an object",
            ),
            (
                r#"{"named": {"a": 7}}"#,
                "named.a",
                "integer `7`, expected an object",
            ),
            (r#"{"inner": {"text": "a"}}"#, "inner", "expected a list"),
            (r#"{"size": 1.5}"#, "size", &format!("`1.5`, {natural}")),
            (r#"{"size": -1}"#, "size", &format!("`-1`, {natural}")),
            (r#"{"size": "1"}"#, "size", &format!("\"1\", {natural}")),
            (r#"{"share": "1"}"#, "share", "expected a number"),
            (r#"{"word": 1}"#, "word", r#"expected one of "yes", "no""#),
            (
                r#"{"word": "perhaps"}"#,
                "word",
                "unknown variant `perhaps`",
            ),
            (
                r#"{"inner": [{"text": null}]}"#,
                "inner[0].text",
                "null, expected a string",
            ),
            (r#"{"inner": [{}]}"#, "inner[0]", "missing field `text`"),
            (r#"{"other": 1}"#, "", "unknown field `other`"),
        ] {
            let Misread {
                error,
                field: found,
            } = read::<Outer>(json.as_bytes()).unwrap_err();
            assert_eq!(found, field, "{json}");
            assert!(error.is_data(), "{json}: {error}");
            assert!(error.to_string().contains(said), "{json}: {error}");
            assert!(error.to_string().contains("line 1"), "{json}: {error}");
        }
    }
}
