//! What tantivy holds of a row: nothing is stored, everything is found by.

use serde_json::{Map, Value};
use tantivy::TantivyDocument;
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, JsonObjectOptions, OwnedValue, Schema,
    TextFieldIndexing, TextOptions,
};

use super::analysis::ANALYZER;
use crate::row::Row;

/// The fields' handles.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    /// The row's id, by which it is deleted.
    pub(super) row: Field,
    /// The document's text.
    pub(super) text: Field,
    /// Every string found anywhere in the metadata.
    pub(super) strings: Field,
    /// The metadata itself, for `field:word`.
    pub(super) metadata: Field,
}

/// The name of [`Fields::row`], as fast fields are asked for by name.
pub(super) const ROW: &str = "row";

pub(super) fn schema() -> (Schema, Fields) {
    let words = TextFieldIndexing::default()
        .set_tokenizer(ANALYZER)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let text = TextOptions::default().set_indexing_options(words.clone());
    let json = JsonObjectOptions::default()
        .set_indexing_options(words)
        .set_expand_dots_enabled();
    let mut schema = Schema::builder();
    let fields = Fields {
        row: schema.add_u64_field(ROW, INDEXED | FAST),
        text: schema.add_text_field("text", text.clone()),
        strings: schema.add_text_field("strings", text),
        metadata: schema.add_json_field("metadata", json),
    };
    (schema.build(), fields)
}

pub(super) fn document(fields: &Fields, row: &Row<'_>) -> TantivyDocument {
    let mut document = TantivyDocument::new();
    document.add_u64(fields.row, row.id.0);
    if let Some(text) = row.text {
        document.add_text(fields.text, text);
    }
    for value in row.metadata.values() {
        add_strings(&mut document, fields.strings, value);
    }
    if !row.metadata.is_empty() {
        document.add_field_value(fields.metadata, &owned_object(row.metadata));
    }
    document
}

fn add_strings(document: &mut TantivyDocument, field: Field, value: &Value) {
    match value {
        Value::String(text) => document.add_text(field, text),
        Value::Array(values) => values
            .iter()
            .for_each(|value| add_strings(document, field, value)),
        Value::Object(object) => object
            .values()
            .for_each(|value| add_strings(document, field, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// As tantivy's own conversion, but a string stays a string when it looks like a date:
/// its words must be found.
fn owned(value: &Value) -> OwnedValue {
    match value {
        Value::Null => OwnedValue::Null,
        Value::Bool(flag) => OwnedValue::Bool(*flag),
        Value::Number(number) => {
            if let Some(number) = number.as_i64() {
                OwnedValue::I64(number)
            } else if let Some(number) = number.as_u64() {
                OwnedValue::U64(number)
            } else {
                number.as_f64().map_or(OwnedValue::Null, OwnedValue::F64)
            }
        }
        Value::String(text) => OwnedValue::Str(text.clone()),
        Value::Array(values) => OwnedValue::Array(values.iter().map(owned).collect()),
        Value::Object(object) => owned_object(object),
    }
}

fn owned_object(object: &Map<String, Value>) -> OwnedValue {
    OwnedValue::Object(
        object
            .iter()
            .map(|(name, value)| (name.clone(), owned(value)))
            .collect(),
    )
}
