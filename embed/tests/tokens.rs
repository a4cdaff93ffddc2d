//! Token numbers of 200 texts, identical to those of `transformers` (`parity/`).
#![allow(clippy::unwrap_used)] // clippy.toml lets tests do so, not what they share

use std::path::Path;

use clipdb_embed::Tokens;
use serde_json::Value;

fn read(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Compares a tokenizer with column `name` of the golden file, and says how many of
/// the texts were too long.
fn compare(tokenizer: &str, name: &str, context: &str) -> usize {
    let golden: Value = serde_json::from_slice(&read("parity/golden/tokens.json")).unwrap();
    let column = golden["columns"]
        .as_array()
        .unwrap()
        .iter()
        .position(|column| column == name)
        .unwrap();
    let context = usize::try_from(golden[context].as_u64().unwrap()).unwrap();
    let tokens = Tokens::from_json(&read(tokenizer), context).unwrap();
    let longer = Tokens::from_json(&read(tokenizer), 100_000).unwrap();
    let rows = golden["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 200);
    let mut truncated = 0;
    for row in rows {
        let text = row[0].as_str().unwrap();
        let wanted: Vec<u32> = serde_json::from_value(row[column].clone()).unwrap();
        let found = tokens.encode(text).unwrap();
        assert_eq!(found.ids, wanted, "{text:?}");
        let whole = longer.encode(text).unwrap();
        assert!(!whole.truncated);
        assert_eq!(found.truncated, whole.ids.len() > context, "{text:?}");
        truncated += usize::from(found.truncated);
    }
    truncated
}

#[test]
fn clip() {
    let truncated = compare("../models/clip-tokenizer.json", "clip", "clip_context");
    assert!(truncated > 0, "the golden file has over-long texts");
}

#[test]
fn sentence_model() {
    let tokenizer = "../models/clipdb-mini/tokenizer.json";
    let truncated = compare(tokenizer, "sentence", "sentence_context");
    assert!(truncated > 0, "the golden file has over-long texts");
}

#[test]
fn what_is_no_tokenizer_is_refused() {
    let error = Tokens::from_json(b"{}", 77).err().unwrap().to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
    assert!(Tokens::from_json(&read("../models/clip-tokenizer.json"), 2).is_err());
}
