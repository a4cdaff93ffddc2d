//! Shared by several fuzz targets.

use std::path::Path;
use std::sync::LazyLock;

use clipdb_index::{
    Analyzer, CollectionIndex, Configuration, FieldTextConfig, Fields, OwnedRow, Row, RowId,
    TextConfig, VectorKind,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder in memory, for what has to be a file.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    };
    made.expect("a folder for temporary files")
}

/// Lets `catch_unwind` do its work for panics of other crates' decoders, which count as corrupt
/// images, and ends the process at a panic of ours: libFuzzer's own hook ends it at any panic.
pub fn abort_at_our_panics_only() {
    std::panic::set_hook(Box::new(|panic| {
        let file = panic.location().map_or("", |place| place.file());
        if !file.contains("/.cargo/registry/") && !file.starts_with("/rustc/") {
            eprintln!("{panic}");
            std::process::abort();
        }
    }));
}

/// Documents with values of every type, in several scripts.
pub fn documents() -> &'static [OwnedRow] {
    static DOCUMENTS: LazyLock<Vec<OwnedRow>> = LazyLock::new(|| {
        let metadata = [
            json!({"year": 2024, "tags": ["cat", "dog"], "place": {"city": "Lyon", "lat": 45.76, "lon": 4.84}}),
            json!({"year": [1999, 2001], "taken": "2024-05-01T10:00:00+02:00", "$type": "book", "title": "C++ and e-mail"}),
            json!({"score": -0.5, "ok": true, "big": 9_007_199_254_740_993_u64, "name_zh": "大学生在公园里"}),
            json!({"empty": null, "list": [], "spot": [{"lat": 0.0, "lon": 180.0}, {"lat": -90, "lon": -180}]}),
            json!({}),
        ];
        let texts = [
            Some("A happy potato in the garden."),
            Some("Die Straße führt über den Fluß; l'homme aime l'été."),
            None,
            Some("ภาษาไทย 東京都 मराठी 👩‍👩‍👧 Ünïcödé don’t AB-1234"),
            Some(""),
        ];
        let rows = (1..).zip(metadata).zip(texts);
        rows.map(|((id, metadata), text)| {
            let Value::Object(metadata) = metadata else {
                unreachable!("every one is an object")
            };
            OwnedRow {
                id: RowId(id),
                document: format!("document-{id}"),
                text: text.map(str::to_owned),
                metadata,
                vectors: vec![(VectorKind::Text, vec![1.0, 0.0])],
            }
        })
        .collect()
    });
    &DOCUMENTS
}

/// An index of [`documents`] that reads words in several languages. Its folder stays until the
/// process ends.
pub fn small_index(fields: Fields) -> CollectionIndex {
    let with = |analyzer| FieldTextConfig {
        analyzer,
        boost: 1.0,
    };
    let text_config = TextConfig {
        analyzer: Analyzer::English,
        fields: [
            ("name_zh", Analyzer::Chinese),
            ("title", Analyzer::Plain),
            ("place.city", Analyzer::French),
            ("tags", Analyzer::Exact),
        ]
        .map(|(field, analyzer)| (field.to_owned(), with(analyzer)))
        .into(),
    };
    let configuration = Configuration {
        text_config,
        fields,
        ..Configuration::new(2)
    };
    let folder = folder().keep();
    let (index, _) = CollectionIndex::open(&folder, &configuration).expect("an empty index");
    let rows: Vec<Row<'_>> = documents().iter().map(OwnedRow::as_row).collect();
    index.apply(&[], &rows, 1).expect("a write");
    index
}
