//! The token ids of 200 texts are those of `transformers` (`parity/`).
#![allow(clippy::unwrap_used)] // clippy.toml allows it only inside of tests

use std::path::Path;

use clipdb_embed::{TextRole, TextTokenizer};
use serde_json::Value;

fn read(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Compares a tokenizer with the column `name` of the golden file. Returns the number of truncated
/// texts.
fn compare(tokenizer: &str, name: &str, context: &str) -> usize {
    let golden: Value = serde_json::from_slice(&read("parity/golden/tokens.json")).unwrap();
    let column = golden["columns"]
        .as_array()
        .unwrap()
        .iter()
        .position(|column| column == name)
        .unwrap();
    let context = usize::try_from(golden[context].as_u64().unwrap()).unwrap();
    let tokens = TextTokenizer::from_json(&read(tokenizer), context).unwrap();
    let longer = TextTokenizer::from_json(&read(tokenizer), 100_000).unwrap();
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
    assert!(
        truncated > 0,
        "the golden file has texts that exceed the context"
    );
}

#[test]
fn sentence_model() {
    let tokenizer = "../models/clipdb-mini/tokenizer.json";
    let truncated = compare(tokenizer, "sentence", "sentence_context");
    assert!(
        truncated > 0,
        "the golden file has texts that exceed the context"
    );
}

#[test]
fn a_long_text_is_split_into_passages_of_complete_sentences() {
    let json = read("../models/clipdb-mini/tokenizer.json");
    let tokens = TextTokenizer::from_json(&json, 40).unwrap();
    let sentences: Vec<String> = (0..30)
        .map(|n| format!("Sentence number {n} speaks of the potato."))
        .collect();
    let text = sentences.join(" ");
    let found = tokens.passages(&text, TextRole::Document, 1000).unwrap();
    assert!(found.complete);
    assert!(found.passages.len() >= 7, "{}", found.passages.len());
    let mut covered = 0;
    for (number, passage) in found.passages.iter().enumerate() {
        let part = &text[passage.range.clone()];
        assert!(!passage.tokens.truncated && passage.tokens.ids.len() <= 40);
        assert!(
            part.starts_with("Sentence") && part.ends_with('.'),
            "{part}"
        );
        if number > 0 {
            let before = &found.passages[number - 1];
            let shared = &text[passage.range.start..before.range.end];
            assert_eq!(shared.matches("Sentence").count(), 1, "{shared:?}");
        }
        assert!(passage.range.end > covered);
        covered = passage.range.end;
    }
    assert_eq!(covered, text.len());

    let cut = tokens.passages(&text, TextRole::Document, 3).unwrap();
    assert!(!cut.complete);
    assert_eq!(cut.passages, found.passages[..3]);

    let short = tokens.passages("  One. ", TextRole::Document, 3).unwrap();
    assert!(short.complete);
    assert_eq!(short.passages.len(), 1);
    assert_eq!(short.passages[0].range, 0..7);
}

#[test]
fn text_without_sentences_is_split_too() {
    for (tokenizer, context) in [
        ("../models/clipdb-mini/tokenizer.json", 32),
        ("../models/clip-tokenizer.json", 77),
    ] {
        let tokens = TextTokenizer::from_json(&read(tokenizer), context).unwrap();
        for text in [
            "word ".repeat(5_000),
            "word".repeat(500),
            "我喜歡吃土豆".repeat(300),
            format!("Short. {} End.", "word ".repeat(100)),
            format!("{}x", " ".repeat(100_000)),
            "\n\n\n".repeat(1000) + "a b c",
            "🥔".repeat(400),
            "a.b.c. ".repeat(900),
        ] {
            let found = tokens.passages(&text, TextRole::Document, 100_000).unwrap();
            assert!(found.complete, "{:?}", &text[..24]);
            let mut end = 0;
            for passage in &found.passages {
                assert!(!passage.tokens.truncated);
                let between = text.get(end..passage.range.start).unwrap_or("");
                assert_eq!(between.trim(), "", "the passages leave out text");
                end = passage.range.end;
            }
            assert_eq!(text[end..].trim(), "");
        }
    }
}

#[test]
fn an_invalid_tokenizer_is_rejected() {
    let error = TextTokenizer::from_json(b"{}", 77)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
    assert!(TextTokenizer::from_json(&read("../models/clip-tokenizer.json"), 2).is_err());
}
