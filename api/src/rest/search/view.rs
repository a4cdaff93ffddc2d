//! `sort`, `facets`, `group_by`, `cursor` and `fields` of a search.

use clipdb_engine::{Cursor, EngineError, GroupBy, LONGEST_PATH, Order, Point};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::http::error::ApiError;

const SORT_KEYS: usize = clipdb_engine::MOST_SORT_KEYS;
const FACETS: usize = 32;
const FACET_VALUES: usize = 1000;
const DEFAULT_FACET_VALUES: usize = 20;
const GROUP_HITS: usize = 100;
const SHOWN_FIELDS: usize = 1024;
const SORT_SHAPES: &str = "\"field\", \"-field\", {\"field\": \"asc\"}, {\"field\": \"desc\"} \
                           or {\"field\": {\"$near\": {\"lat\", \"lon\"}}}";

/// A facet or a group: a field's name, optionally with a limit.
#[derive(Debug)]
pub(super) enum FieldBody {
    Name(String),
    Limited(LimitedField),
}

impl<'de> Deserialize<'de> for FieldBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor;
        impl<'de> Visitor<'de> for FieldVisitor {
            type Value = FieldBody;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a field's name, or {\"field\", \"limit\"}")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<FieldBody, E> {
                Ok(FieldBody::Name(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, limited: A) -> Result<FieldBody, A::Error> {
                LimitedField::deserialize(MapAccessDeserializer::new(limited))
                    .map(FieldBody::Limited)
            }
        }
        deserializer.deserialize_any(FieldVisitor)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitedField {
    field: String,
    limit: Option<usize>,
}

impl FieldBody {
    fn parts(self) -> (String, Option<usize>) {
        match self {
            Self::Name(field) => (field, None),
            Self::Limited(LimitedField { field, limit }) => (field, limit),
        }
    }
}

pub(super) fn facets(wanted: Option<Vec<FieldBody>>) -> Result<Vec<(String, usize)>, ApiError> {
    let wanted = wanted.unwrap_or_default();
    if wanted.len() > FACETS {
        return Err(invalid(format!(
            "'facets' has {} fields; the limit is {FACETS}",
            wanted.len()
        )));
    }
    wanted
        .into_iter()
        .map(|facet| {
            let (field, limit) = facet.parts();
            check_name(&field)?;
            let limit = limit.unwrap_or(DEFAULT_FACET_VALUES);
            if !(1..=FACET_VALUES).contains(&limit) {
                return Err(invalid(format!(
                    "a facet's 'limit' is {limit}; it must be from 1 to {FACET_VALUES}"
                )));
            }
            Ok((field, limit))
        })
        .collect()
}

pub(super) fn group_by(wanted: Option<FieldBody>) -> Result<Option<GroupBy>, ApiError> {
    let Some((field, limit)) = wanted.map(FieldBody::parts) else {
        return Ok(None);
    };
    check_name(&field)?;
    let limit = limit.unwrap_or(1);
    if !(1..=GROUP_HITS).contains(&limit) {
        return Err(invalid(format!(
            "the 'limit' of 'group_by' is {limit}; it must be from 1 to {GROUP_HITS}"
        )));
    }
    Ok(Some(GroupBy { field, limit }))
}

/// One key or a list of them.
pub(super) fn order(wanted: Option<Value>) -> Result<Order, ApiError> {
    let keys = match wanted {
        None => return Ok(Order::default()),
        Some(Value::Array(keys)) => keys,
        Some(key) => vec![key],
    };
    if keys.len() > SORT_KEYS {
        return Err(invalid(format!(
            "'sort' has {} keys; the limit is {SORT_KEYS}",
            keys.len()
        )));
    }
    keys.iter().try_fold(Order::default(), with_key)
}

/// Checks the number and lengths of the metadata's names that a search shows.
pub(super) fn check_shown(fields: &[String]) -> Result<(), ApiError> {
    if fields.len() > SHOWN_FIELDS {
        return Err(invalid(format!(
            "'fields' has {} fields; the limit is {SHOWN_FIELDS}",
            fields.len()
        )));
    }
    fields.iter().try_for_each(|field| check_name(field))
}

fn check_name(field: &str) -> Result<(), ApiError> {
    if field.len() > LONGEST_PATH {
        return Err(invalid(format!(
            "a field's name may have at most {LONGEST_PATH} bytes"
        )));
    }
    Ok(())
}

fn with_key(order: Order, key: &Value) -> Result<Order, ApiError> {
    match key {
        Value::String(name) => {
            let descending = name.strip_prefix('-');
            let field = descending.unwrap_or(name);
            if field.is_empty() {
                return Err(wrong_key(key));
            }
            check_name(field)?;
            Ok(match descending {
                Some(_) => order.descending(field),
                None => order.ascending(field),
            })
        }
        Value::Object(members) => {
            let mut members = members.iter();
            let (Some((field, direction)), None) = (members.next(), members.next()) else {
                return Err(wrong_key(key));
            };
            check_name(field)?;
            match direction {
                Value::String(word) if word == "asc" => Ok(order.ascending(field)),
                Value::String(word) if word == "desc" => Ok(order.descending(field)),
                Value::Object(near) => near_point(near)
                    .map(|from| order.near(field, from))
                    .ok_or_else(|| wrong_key(key)),
                _ => Err(wrong_key(key)),
            }
        }
        _ => Err(wrong_key(key)),
    }
}

fn near_point(near: &Map<String, Value>) -> Option<Point> {
    let Some(Value::Object(point)) = near.get("$near").filter(|_| near.len() == 1) else {
        return None;
    };
    if point.len() != 2 {
        return None;
    }
    Point::new(point.get("lat")?.as_f64()?, point.get("lon")?.as_f64()?)
}

fn wrong_key(key: &Value) -> ApiError {
    invalid(format!(
        "a key of 'sort' must be {SORT_SHAPES}; it is {key}"
    ))
}

pub(super) fn cursor(wanted: Option<&str>) -> Result<Option<Cursor>, ApiError> {
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    let cursor = URL_SAFE_NO_PAD
        .decode(wanted)
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok());
    match cursor {
        Some(cursor) => Ok(Some(cursor)),
        None => Err(invalid(
            "'cursor' is not a cursor of this server".to_owned(),
        )),
    }
}

pub(super) fn cursor_text(cursor: &Cursor) -> Result<String, ApiError> {
    // Strings and finite numbers, which JSON can represent.
    let json = serde_json::to_vec(cursor).map_err(|_| EngineError::Interrupted)?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// The metadata's `fields` only, each a name or a dotted path.
pub(super) fn picked(metadata: &Map<String, Value>, fields: &[String]) -> Map<String, Value> {
    let mut picked = Map::new();
    for field in fields {
        pick(metadata, field, &mut picked);
    }
    picked
}

fn pick(from: &Map<String, Value>, path: &str, to: &mut Map<String, Value>) {
    if let Some(value) = from.get(path) {
        to.insert(path.to_owned(), value.clone());
        return;
    }
    for (dot, _) in path.match_indices('.') {
        let (name, rest) = (&path[..dot], &path[dot + 1..]);
        let Some(Value::Object(inside)) = from.get(name) else {
            continue;
        };
        let mut picked = match to.get(name) {
            Some(Value::Object(before)) => before.clone(),
            _ => Map::new(),
        };
        pick(inside, rest, &mut picked);
        if !picked.is_empty() {
            to.insert(name.to_owned(), Value::Object(picked));
        }
        return;
    }
}

fn invalid(message: String) -> ApiError {
    ApiError::InvalidField(message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sort_keys_of_every_form_are_parsed() {
        let here = Point { lat: 1.0, lon: 2.0 };
        for (sort, expected) in [
            (json!("year"), Order::default().ascending("year")),
            (json!("-year"), Order::default().descending("year")),
            (
                json!([{"a.b": "desc"}, {"c": "asc"}, "$id"]),
                Order::default()
                    .descending("a.b")
                    .ascending("c")
                    .ascending("$id"),
            ),
            (
                json!({"place": {"$near": {"lat": 1, "lon": 2}}}),
                Order::default().near("place", here),
            ),
            (json!([]), Order::default()),
        ] {
            assert_eq!(order(Some(sort)).unwrap(), expected);
        }
        for wrong in [
            json!(5),
            json!(""),
            json!("-"),
            json!({"a": "up"}),
            json!({"a": "asc", "b": "asc"}),
            json!({"a": {"$near": {"lat": 100, "lon": 0}}}),
            json!({"a": {"$near": {"lat": 1}}}),
            json!(["a", "b", "c", "d", "e"]),
        ] {
            assert!(order(Some(wrong.clone())).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_the_named_metadata_is_picked() {
        let Value::Object(metadata) =
            json!({"a": 1, "b": {"c": 2, "d": {"e": 3, "f": 4}}, "x.y": 5})
        else {
            unreachable!()
        };
        let fields = |fields: &[&str]| {
            let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
            Value::Object(picked(&metadata, &fields))
        };
        assert_eq!(fields(&[]), json!({}));
        assert_eq!(fields(&["a", "none", "none.a"]), json!({"a": 1}));
        assert_eq!(
            fields(&["b.c", "b.d.e", "x.y"]),
            json!({"b": {"c": 2, "d": {"e": 3}}, "x.y": 5})
        );
        assert_eq!(fields(&["b"]), json!({"b": metadata["b"]}));
    }
}
