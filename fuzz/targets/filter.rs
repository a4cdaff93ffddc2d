//! The filter language, parsed and evaluated over a few documents.
#![no_main]

use std::sync::LazyLock;

use clipdb_fuzz::{documents, small_index};
use clipdb_index::{CollectionIndex, FieldType, Fields, Filter};
use serde_json::Value;

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let declared = [("taken", FieldType::Date), ("year", FieldType::Integer)];
    declared
        .into_iter()
        .map(|(name, kind)| (name.to_owned(), kind))
        .collect()
});
static INDEX: LazyLock<CollectionIndex> = LazyLock::new(|| small_index(FIELDS.clone()));

libfuzzer_sys::fuzz_target!(|json: &[u8]| {
    let Ok(filter) = serde_json::from_slice::<Value>(json) else {
        return;
    };
    let is_field = |name: &str| INDEX.has_field(name).unwrap_or(false);
    let Ok(parsed) = Filter::parse_where(&filter, &FIELDS, &is_field) else {
        return;
    };
    let passing = INDEX
        .select(&parsed)
        .expect("a filter that parses can be evaluated")
        .len();
    let negation = serde_json::json!({ "$not": filter });
    // One level more may be one too many.
    if let Ok(negated) = Filter::parse_where(&negation, &FIELDS, &is_field) {
        let others = INDEX.select(&negated).expect("its negation as well").len();
        assert_eq!(passing + others, documents().len(), "{filter}");
    }
});
