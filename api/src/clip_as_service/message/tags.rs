//! `google.protobuf.Struct` as JSON and back.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as ProtoValue};
use serde_json::{Map, Number, Value};

/// Integers up to 2^53 are exact as doubles.
const WHOLE: f64 = 9_007_199_254_740_992.0;

pub fn struct_to_json(fields: &Struct) -> Map<String, Value> {
    struct_into_json(fields.clone())
}

fn struct_into_json(fields: Struct) -> Map<String, Value> {
    fields
        .fields
        .into_iter()
        .map(|(name, value)| (name, to_json(value)))
        .collect()
}

pub fn struct_from_json(fields: Map<String, Value>) -> Struct {
    Struct {
        fields: fields
            .into_iter()
            .map(|(name, value)| (name, from_json(value)))
            .collect(),
    }
}

fn to_json(value: ProtoValue) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        Some(Kind::StringValue(text)) => Value::String(text),
        // A Struct has doubles only: 2024.0 becomes 2024 again.
        Some(Kind::NumberValue(number)) if number.fract() == 0.0 && number.abs() <= WHOLE => {
            Value::from(number as i64)
        }
        Some(Kind::NumberValue(number)) => {
            Number::from_f64(number).map_or(Value::Null, Value::Number)
        }
        Some(Kind::ListValue(list)) => list.values.into_iter().map(to_json).collect(),
        Some(Kind::StructValue(fields)) => Value::Object(struct_into_json(fields)),
    }
}

fn from_json(value: Value) -> ProtoValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(flag),
        // serde_json has no numbers outside the range of doubles.
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(values) => Kind::ListValue(ListValue {
            values: values.into_iter().map(from_json).collect(),
        }),
        Value::Object(fields) => Kind::StructValue(struct_from_json(fields)),
    };
    ProtoValue { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_unchanged_by_a_round_trip() {
        let json =
            json!({ "year": 2024, "share": 0.5, "tags": ["a", null, true], "at": { "x": -1 } });
        let Value::Object(fields) = json.clone() else {
            unreachable!()
        };
        let there = struct_from_json(fields);
        assert_eq!(Value::Object(struct_into_json(there)), json);
    }
}
