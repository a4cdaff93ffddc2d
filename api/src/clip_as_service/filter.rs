//! Translates `parameters.filter`, in AnnLite's and DocArray's syntax, to clipdb's.
//!
//! A name is a tag, which is a field of the metadata; DocArray's `tags__place__city` is a nested
//! one. `$neq` is `$ne`, and `$and` and `$or` accept an object of conditions as well as a list. `id`
//! is the document's id. A filter by any other field of the document itself is an error, since as
//! a tag it would match nothing.

use prost_types::Struct;
use serde_json::{Map, Value};

use crate::clip_as_service::message::struct_to_json;
use crate::http::error::ApiError;

/// DocArray's prefix for a field of a document's tags.
const TAGS: &str = "tags__";

/// A document's own fields, which can't be filtered by.
const OWN: [&str; 12] = [
    "adjacency",
    "blob",
    "chunks",
    "content",
    "content_type",
    "embedding",
    "granularity",
    "matches",
    "mime_type",
    "parent_id",
    "tensor",
    "text",
];

pub(super) fn filter(parameter: &Struct) -> Result<Value, ApiError> {
    all(struct_to_json(parameter))
}

fn all(members: Map<String, Value>) -> Result<Value, ApiError> {
    members
        .into_iter()
        .map(|(name, value)| member(name, value))
        .collect::<Result<_, _>>()
        .map(Value::Object)
}

fn member(name: String, value: Value) -> Result<(String, Value), ApiError> {
    if matches!(name.as_str(), "$and" | "$or") {
        let filters: Vec<Value> = match value {
            Value::Array(filters) => filters,
            Value::Object(members) => members
                .into_iter()
                .map(|member| Value::Object(Map::from_iter([member])))
                .collect(),
            other => return Ok((name, other)),
        };
        let filters = filters.into_iter().map(inside).collect::<Result<_, _>>()?;
        return Ok((name, Value::Array(filters)));
    }
    if name == "$not" {
        return Ok((name, inside(value)?));
    }
    let name = match name.strip_prefix(TAGS) {
        Some(path) => path.replace("__", "."),
        None if name == "id" => "$id".to_owned(),
        None if OWN.contains(&name.as_str()) => {
            return Err(ApiError::InvalidField(format!(
                "the parameter 'filter' can't use the document's own field '{name}', only its tags; \
                 a tag of this name is '{TAGS}{name}'"
            )));
        }
        None => name,
    };
    Ok((name, conditions(value)?))
}

/// A nested filter; anything else is left for the engine to refuse.
fn inside(filter: Value) -> Result<Value, ApiError> {
    match filter {
        Value::Object(members) => all(members),
        other => Ok(other),
    }
}

/// The conditions on a field's value.
fn conditions(value: Value) -> Result<Value, ApiError> {
    let Value::Object(operators) = value else {
        return Ok(value);
    };
    operators
        .into_iter()
        .map(|(name, operand)| match name.as_str() {
            "$neq" => Ok(("$ne".to_owned(), operand)),
            "$not" => Ok((name, conditions(operand)?)),
            "$regex" | "$size" => Err(ApiError::InvalidField(format!(
                "the parameter 'filter' has '{name}', which is not supported; there are $eq, $neq, $gt, \
                 $gte, $lt, $lte, $in, $nin, $exists, $contains, $not, and $and and $or around fields"
            ))),
            _ => Ok((name, operand)),
        })
        .collect::<Result<_, _>>()
        .map(Value::Object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clip_as_service::message::struct_from_json;

    fn read(theirs: Value) -> Result<Value, ApiError> {
        let Value::Object(theirs) = theirs else {
            unreachable!()
        };
        filter(&struct_from_json(theirs))
    }

    #[test]
    fn tags_are_metadata() {
        let theirs = json!({
            "tags__place__city": {"$eq": "Lyon"},
            "year": {"$lt": 2024},
            "id": {"$in": ["a"]},
            "$or": [{"tags__a": 1}, {"$not": {"tags__b": "tags__b"}}],
        });
        assert_eq!(
            read(theirs).unwrap(),
            json!({
                "place.city": {"$eq": "Lyon"},
                "year": {"$lt": 2024},
                "$id": {"$in": ["a"]},
                "$or": [{"a": 1}, {"$not": {"b": "tags__b"}}],
            })
        );
    }

    #[test]
    fn their_operators_are_translated() {
        let theirs = json!({
            "a": {"$neq": 1, "$not": {"$neq": 2}},
            "$and": {"b": {"$neq": 3}, "$or": {"c": 4, "d": 5}},
        });
        assert_eq!(
            read(theirs).unwrap(),
            json!({
                "a": {"$ne": 1, "$not": {"$ne": 2}},
                "$and": [{"$or": [{"c": 4}, {"d": 5}]}, {"b": {"$ne": 3}}],
            })
        );
    }

    #[test]
    fn unsupported_fields_and_operators_are_named() {
        for (theirs, named) in [
            (json!({"text": {"$eq": "a"}}), "'text'"),
            (
                json!({"$or": {"mime_type": "a", "b": 1}}),
                "'tags__mime_type'",
            ),
            (json!({"a": {"$regex": "^b"}}), "'$regex'"),
            (json!({"a": {"$not": {"$size": 2}}}), "'$size'"),
        ] {
            let error = read(theirs).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        assert!(read(json!({"tags__text": "a"})).is_ok());
    }
}
