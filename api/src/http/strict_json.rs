//! JSON as serde reads it, with three differences: a struct is read from an object only, where
//! serde also takes a list of the fields' values; messages name the expected type in the terms of
//! JSON; and an error has a kind and the field it is about.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

use crate::http::json_error::{JsonError, JsonErrorKind, Located, Slot};

/// Parses `json` once, whether it fits or not.
///
/// # Errors
/// `json` is not JSON, or not a `T`.
pub(crate) fn read<'json, T: Deserialize<'json>>(json: &'json [u8]) -> Result<T, JsonError> {
    let slot = Slot::default();
    let mut source = serde_json::Deserializer::from_slice(json);
    let value = T::deserialize(StrictDeserializer {
        source: &mut source,
        slot: &slot,
    });
    value
        .and_then(|value| slot.take(source.end().map(|()| value)))
        .map_err(|located| {
            let fallback = match located.error.is_data() {
                true => JsonErrorKind::InvalidValue,
                false => JsonErrorKind::Syntax,
            };
            located.finish(fallback)
        })
}

/// Integers below it are exact as floating-point numbers: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The type that a visitor asks for, in the terms of JSON.
#[derive(Clone, Copy)]
enum Expectation {
    /// The visitor names it itself.
    Own,
    Boolean,
    /// The text names the range.
    Integer(&'static str),
    Number,
    List,
    Object,
}

impl Expectation {
    fn text(self) -> Option<&'static str> {
        match self {
            Self::Own => None,
            Self::Boolean => Some("true or false"),
            Self::Integer(range) => Some(range),
            Self::Number => Some("a number"),
            Self::List => Some("a list"),
            Self::Object => Some("an object"),
        }
    }

    /// Lets an error about `found` name the expected type.
    fn name_in<T, E: Error>(
        self,
        visited: Result<T, Located<E>>,
        found: Unexpected<'_>,
    ) -> Result<T, Located<E>> {
        match self.text() {
            Some(expected) => visited.map_err(|_| Located::invalid_type(found, &expected)),
            None => visited,
        }
    }
}

/// Wraps the visitors that `source` is given in a [`StrictVisitor`].
struct StrictDeserializer<'s, D> {
    source: D,
    slot: &'s Slot,
}

impl<D> StrictDeserializer<'_, D> {
    /// JSON describes itself, so the source decides by what it finds.
    fn expect<'de, V: Visitor<'de>>(
        self,
        expectation: Expectation,
        visitor: V,
    ) -> Result<V::Value, Located<D::Error>>
    where
        D: Deserializer<'de>,
    {
        let slot = self.slot;
        let visitor = StrictVisitor {
            visitor,
            expectation,
            slot,
        };
        slot.take(self.source.deserialize_any(visitor))
    }
}

macro_rules! by_expectation {
    ($($method:ident $(($($argument:ident: $of:ty),*))? => $expectation:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(
            self,
            $($(_: $of,)*)?
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            self.expect($expectation, visitor)
        })*
    };
}

macro_rules! by_source {
    ($($method:ident $(($($argument:ident: $of:ty),*))? => $expectation:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(
            self,
            $($($argument: $of,)*)?
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            let slot = self.slot;
            let visitor = StrictVisitor { visitor, expectation: $expectation, slot };
            slot.take(self.source.$method($($($argument,)*)? visitor))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for StrictDeserializer<'_, D> {
    type Error = Located<D::Error>;

    by_expectation! {
        deserialize_any => Expectation::Own;
        deserialize_bool => Expectation::Boolean;
        deserialize_i8 => Expectation::Integer("a whole number");
        deserialize_i16 => Expectation::Integer("a whole number");
        deserialize_i32 => Expectation::Integer("a whole number");
        deserialize_i64 => Expectation::Integer("a whole number");
        deserialize_u8 => Expectation::Integer("a whole number from 0 to 255");
        deserialize_u16 => Expectation::Integer("a whole number from 0 to 65535");
        deserialize_u32 => Expectation::Integer("a whole number from 0 to 4294967295");
        deserialize_u64 => Expectation::Integer("a whole number from 0");
        deserialize_f64 => Expectation::Number;
        deserialize_char => Expectation::Own;
        deserialize_str => Expectation::Own;
        deserialize_string => Expectation::Own;
        deserialize_unit => Expectation::Own;
        deserialize_unit_struct(name: &'static str) => Expectation::Own;
        deserialize_seq => Expectation::List;
        deserialize_tuple(length: usize) => Expectation::List;
        deserialize_tuple_struct(name: &'static str, length: usize) => Expectation::List;
        deserialize_map => Expectation::Object;
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) => Expectation::Object;
        deserialize_identifier => Expectation::Own;
    }

    by_source! {
        // Rounded once, not by way of a double.
        deserialize_f32 => Expectation::Number;
        deserialize_bytes => Expectation::Own;
        deserialize_byte_buf => Expectation::Own;
        deserialize_option => Expectation::Own;
        // Under one of these names serde_json returns a value's own text.
        deserialize_newtype_struct(name: &'static str) => Expectation::Own;
        deserialize_ignored_any => Expectation::Own;
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.expect(Expectation::Own, VariantVisitor { visitor, variants })
    }

    fn is_human_readable(&self) -> bool {
        self.source.is_human_readable()
    }
}

struct StrictVisitor<'s, V> {
    visitor: V,
    expectation: Expectation,
    slot: &'s Slot,
}

macro_rules! scalars {
    ($($method:ident($of:ty) => $found:expr;)*) => {
        $(fn $method<E: Error>(self, value: $of) -> Result<V::Value, E> {
            let visited = self.visitor.$method(value);
            self.slot.put(self.expectation.name_in(visited, $found(value)))
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for StrictVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.expectation.text() {
            Some(expected) => f.write_str(expected),
            None => self.visitor.expecting(f),
        }
    }

    scalars! {
        visit_bool(bool) => Unexpected::Bool;
        visit_i64(i64) => Unexpected::Signed;
        visit_u64(u64) => Unexpected::Unsigned;
        visit_str(&str) => Unexpected::Str;
        visit_borrowed_str(&'de str) => Unexpected::Str;
    }

    /// JSON has one type of numbers: 18.0 is 18.
    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        let is_integer = value.fract() == 0.0 && value.abs() < EXACT;
        if matches!(self.expectation, Expectation::Integer(_)) && is_integer {
            return if value < 0.0 {
                self.visit_i64(value as i64)
            } else {
                self.visit_u64(value as u64)
            };
        }
        let visited = self.visitor.visit_f64(value);
        let found = Unexpected::Float(value);
        self.slot.put(self.expectation.name_in(visited, found))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<V::Value, E> {
        self.slot.put(self.visitor.visit_string(value))
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<V::Value, E> {
        self.slot.put(self.visitor.visit_bytes(value))
    }

    fn visit_borrowed_bytes<E: Error>(self, value: &'de [u8]) -> Result<V::Value, E> {
        self.slot.put(self.visitor.visit_borrowed_bytes(value))
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.slot.put(self.visitor.visit_none())
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        let visited = self.visitor.visit_unit();
        self.slot
            .put(self.expectation.name_in(visited, Unexpected::Unit))
    }

    fn visit_some<D: Deserializer<'de>>(self, source: D) -> Result<V::Value, D::Error> {
        let slot = self.slot;
        slot.put(self.visitor.visit_some(StrictDeserializer { source, slot }))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, source: D) -> Result<V::Value, D::Error> {
        let slot = self.slot;
        let inner = StrictDeserializer { source, slot };
        slot.put(self.visitor.visit_newtype_struct(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        let slot = self.slot;
        if !matches!(self.expectation, Expectation::List | Expectation::Own) {
            return slot.put(Err(Located::invalid_type(Unexpected::Seq, &self)));
        }
        let index = 0;
        slot.put(self.visitor.visit_seq(StrictList { list, index, slot }))
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<V::Value, A::Error> {
        let slot = self.slot;
        if !matches!(self.expectation, Expectation::Object | Expectation::Own) {
            return slot.put(Err(Located::invalid_type(Unexpected::Map, &self)));
        }
        let key = Cow::Borrowed("");
        slot.put(self.visitor.visit_map(StrictObject { object, key, slot }))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(variant)
    }
}

/// Reads an enum without data from a string.
struct VariantVisitor<V> {
    visitor: V,
    variants: &'static [&'static str],
}

impl<'de, V: Visitor<'de>> Visitor<'de> for VariantVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "one of \"{}\"", self.variants.join("\", \""))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<V::Value, E> {
        self.visitor.visit_enum(word.into_deserializer())
    }
}

/// The values of a list.
struct StrictList<'s, A> {
    list: A,
    /// Of the next value.
    index: usize,
    slot: &'s Slot,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for StrictList<'_, A> {
    type Error = Located<A::Error>;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Self::Error> {
        let slot = self.slot;
        let index = self.index;
        self.index += 1;
        slot.take(self.list.next_element_seed(StrictSeed { seed, slot }))
            .map_err(|error| error.at_index(index))
    }

    fn size_hint(&self) -> Option<usize> {
        self.list.size_hint()
    }
}

/// The members of an object.
struct StrictObject<'s, 'de, A> {
    object: A,
    /// The last key that was read; borrowed from the JSON unless the key has escapes.
    key: Cow<'de, str>,
    slot: &'s Slot,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for StrictObject<'_, 'de, A> {
    type Error = Located<A::Error>;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Self::Error> {
        let slot = self.slot;
        let key = &mut self.key;
        let seed = KeySeed { seed, key };
        slot.take(self.object.next_key_seed(StrictSeed { seed, slot }))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<T::Value, Self::Error> {
        let slot = self.slot;
        slot.take(self.object.next_value_seed(StrictSeed { seed, slot }))
            .map_err(|error| error.under_key(&self.key))
    }

    fn size_hint(&self) -> Option<usize> {
        self.object.size_hint()
    }
}

struct StrictSeed<'s, S> {
    seed: S,
    slot: &'s Slot,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for StrictSeed<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<S::Value, D::Error> {
        let slot = self.slot;
        slot.put(self.seed.deserialize(StrictDeserializer { source, slot }))
    }
}

/// Notes an object's key while its seed reads it.
struct KeySeed<'k, 'de, S> {
    seed: S,
    key: &'k mut Cow<'de, str>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for KeySeed<'_, 'de, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<S::Value, D::Error> {
        let key = self.key;
        self.seed.deserialize(KeyDeserializer { source, key })
    }
}

struct KeyDeserializer<'k, 'de, D> {
    source: D,
    key: &'k mut Cow<'de, str>,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for KeyDeserializer<'_, 'de, D> {
    type Error = D::Error;

    /// A key is a string.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let key = self.key;
        self.source.deserialize_str(KeyVisitor { visitor, key })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct KeyVisitor<'k, 'de, V> {
    visitor: V,
    key: &'k mut Cow<'de, str>,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for KeyVisitor<'_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<V::Value, E> {
        *self.key = Cow::Owned(key.to_owned());
        self.visitor.visit_str(key)
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<V::Value, E> {
        *self.key = Cow::Borrowed(key);
        self.visitor.visit_borrowed_str(key)
    }
}

#[cfg(test)]
mod tests;
