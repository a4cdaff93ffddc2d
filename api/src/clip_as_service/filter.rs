//! `parameters.filter`, as AnnLite and DocArray write it: their operators are ours, and a
//! tag is a field of the metadata, named plainly or as DocArray's `tags__place__city`.

use prost_types::Struct;
use serde_json::{Map, Value};

use super::message::struct_to_json;

/// DocArray's name for what is inside a document's tags.
const TAGS: &str = "tags__";

pub(super) fn filter(parameter: &Struct) -> Value {
    Value::Object(renamed(struct_to_json(parameter)))
}

fn renamed(members: Map<String, Value>) -> Map<String, Value> {
    members
        .into_iter()
        .map(|(name, value)| {
            let value = match (name.as_str(), value) {
                ("$and" | "$or", Value::Array(filters)) => {
                    Value::Array(filters.into_iter().map(renamed_inside).collect())
                }
                ("$not", filter) => renamed_inside(filter),
                (_, value) => value,
            };
            let name = match name.strip_prefix(TAGS) {
                Some(path) => path.replace("__", "."),
                None => name,
            };
            (name, value)
        })
        .collect()
}

fn renamed_inside(filter: Value) -> Value {
    match filter {
        Value::Object(members) => Value::Object(renamed(members)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::message::struct_from_json;
    use super::*;

    #[test]
    fn tags_are_metadata() {
        let Value::Object(theirs) = json!({
            "tags__place__city": {"$eq": "Lyon"},
            "year": {"$lt": 2024},
            "$or": [{"tags__a": 1}, {"$not": {"tags__b": "tags__b"}}],
        }) else {
            unreachable!()
        };
        assert_eq!(
            filter(&struct_from_json(theirs)),
            json!({
                "place.city": {"$eq": "Lyon"},
                "year": {"$lt": 2024},
                "$or": [{"a": 1}, {"$not": {"b": "tags__b"}}],
            })
        );
    }
}
