//! The tantivy schema, and the tantivy document of a row. Documents are indexed but not stored.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tantivy::TantivyDocument;
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, JsonObjectOptions, OwnedValue, Schema,
    TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::TokenizerManager;

use super::analysis::{self, Analyzer};
use super::text_config::TextConfig;
use crate::columns::{self, COLUMNS, ROW};
use crate::row::Row;

/// The fields' handles.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    /// The row, by which a document is deleted.
    pub(super) row: Field,
    /// The document's text.
    pub(super) text: Field,
    /// All strings of the metadata except those of `own`.
    pub(super) strings: Field,
    /// The metadata itself, for `field:word`.
    pub(super) metadata: Field,
    /// Fields of the metadata with their own configuration, by path.
    pub(super) own: BTreeMap<String, Field>,
    /// For each analyzer in use, all words of all documents.
    pub(super) vocabularies: Vec<(Analyzer, Field)>,
    /// Values of the metadata, for filters.
    pub(super) columns: Field,
}

pub(super) fn schema(text_config: &TextConfig) -> (Schema, Fields) {
    let words = |analyzer| {
        TextFieldIndexing::default()
            .set_tokenizer(&stems_name(analyzer))
            .set_index_option(IndexRecordOption::WithFreqsAndPositions)
    };
    let text = |analyzer| TextOptions::default().set_indexing_options(words(analyzer));
    let vocabulary = |analyzer| {
        let entries = TextFieldIndexing::default()
            .set_tokenizer(&vocabulary_name(analyzer))
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic);
        TextOptions::default().set_indexing_options(entries)
    };
    let json = JsonObjectOptions::default()
        .set_indexing_options(words(text_config.analyzer))
        .set_expand_dots_enabled();
    let mut schema = Schema::builder();
    let fields = Fields {
        row: schema.add_u64_field(ROW, INDEXED | FAST),
        text: schema.add_text_field("text", text(text_config.analyzer)),
        strings: schema.add_text_field("strings", text(text_config.analyzer)),
        metadata: schema.add_json_field("metadata", json),
        own: text_config
            .fields
            .iter()
            .map(|(path, field)| {
                let name = format!("own:{path}");
                (
                    path.clone(),
                    schema.add_text_field(&name, text(field.analyzer)),
                )
            })
            .collect(),
        vocabularies: text_config
            .analyzers()
            .into_iter()
            .map(|analyzer| {
                let name = format!("vocabulary:{analyzer}");
                (analyzer, schema.add_text_field(&name, vocabulary(analyzer)))
            })
            .collect(),
        columns: schema.add_json_field(COLUMNS, JsonObjectOptions::default().set_fast(None)),
    };
    (schema.build(), fields)
}

pub(super) fn register(tokenizers: &TokenizerManager, text_config: &TextConfig) {
    for analyzer in text_config.analyzers() {
        tokenizers.register(&stems_name(analyzer), analysis::of_stems(analyzer));
        tokenizers.register(
            &vocabulary_name(analyzer),
            analysis::of_vocabulary(analyzer),
        );
    }
}

fn stems_name(analyzer: Analyzer) -> String {
    format!("clipdb_{analyzer}")
}

fn vocabulary_name(analyzer: Analyzer) -> String {
    format!("clipdb_{analyzer}_vocabulary")
}

pub(super) fn document(
    fields: &Fields,
    text_config: &TextConfig,
    declared: &columns::Fields,
    row: &Row<'_>,
) -> TantivyDocument {
    let mut document = TantivyDocument::new();
    document.add_u64(fields.row, row.id.0);
    let mut add = |field, analyzer, text: &str| {
        document.add_text(field, text);
        if let Some(vocabulary) = fields.vocabulary(analyzer) {
            document.add_text(vocabulary, text);
        }
    };
    if let Some(text) = row.text {
        add(fields.text, text_config.analyzer, text);
    }
    each_string("", row.metadata, &mut |path, text| {
        let field = fields.own.get(path).copied().unwrap_or(fields.strings);
        add(field, text_config.analyzer_of(path), text);
    });
    if !row.metadata.is_empty() {
        document.add_field_value(fields.metadata, &owned_object(row.metadata));
    }
    let columns = columns::of_row(row, declared)
        .into_iter()
        .map(|(name, terms)| {
            let terms = terms.into_iter().map(OwnedValue::Str).collect();
            (name, OwnedValue::Array(terms))
        })
        .collect();
    document.add_field_value(fields.columns, &OwnedValue::Object(columns));
    document
}

impl Fields {
    /// The field of all words that this analyzer reads.
    pub(super) fn vocabulary(&self, analyzer: Analyzer) -> Option<Field> {
        self.vocabularies
            .iter()
            .find(|(of, _)| *of == analyzer)
            .map(|(_, field)| *field)
    }
}

/// Calls `take` with every string of the metadata and its path. Dots in a path separate the names
/// of nested objects; arrays do not appear in it.
pub(super) fn each_string<'a>(
    path: &str,
    object: &'a Map<String, Value>,
    take: &mut impl FnMut(&str, &'a str),
) {
    for (name, value) in object {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        each_string_of(&path, value, take);
    }
}

fn each_string_of<'a>(path: &str, value: &'a Value, take: &mut impl FnMut(&str, &'a str)) {
    match value {
        Value::String(text) => take(path, text),
        Value::Array(values) => values
            .iter()
            .for_each(|value| each_string_of(path, value, take)),
        Value::Object(object) => each_string(path, object, take),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Like tantivy's own conversion, but a string that looks like a date stays a string, so its words
/// are indexed.
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
