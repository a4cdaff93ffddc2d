//! The keyword query language, parsed and evaluated over a few documents, with highlights.
#![no_main]

use std::sync::LazyLock;

use clipdb_fuzz::{documents, small_index};
use clipdb_index::{CollectionIndex, Fields, KeywordQuery};

static INDEX: LazyLock<CollectionIndex> = LazyLock::new(|| small_index(Fields::default()));

libfuzzer_sys::fuzz_target!(|query: &str| {
    for query in [KeywordQuery::parse(query), KeywordQuery::plain(query)] {
        let _ = query.exclusions();
        if query.check().is_err() {
            continue;
        }
        // Too many words, which only the collection's analyzers can count, are refused.
        let Ok(hits) = INDEX.keyword(&query, 10, None) else {
            continue;
        };
        for document in documents() {
            let _ = hits
                .highlighter
                .highlight(document.text.as_deref(), &document.metadata);
        }
    }
});
