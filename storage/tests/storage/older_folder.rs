use std::path::Path;

use clipdb_storage::{CollectionDefinition, DocumentId, DocumentKey, Outcome, VectorKind, Write};
use serde_json::json;
use tempfile::TempDir;

use crate::crash::copy_folder;
use crate::{image_files, name, object, open, text};

/// The saved folder was written by `migrations/examples/write_format_1.rs`, which defines its content.
#[test]
fn a_folder_of_format_1_opens_with_all_documents() {
    let saved = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/tests/format-1");
    let dir = TempDir::new().unwrap();
    copy_folder(&saved, dir.path());

    for start in 0..2 {
        let store = open(dir.path());
        let definition = |named| CollectionDefinition {
            created_at: 1_700_000_000_000,
            ..CollectionDefinition::new(name(named), "m", 4)
        };
        assert_eq!(
            store.collections(),
            [definition("empty"), definition("pictures")]
        );
        assert!(store.collection(&name("empty")).unwrap().is_empty());

        let pictures = store.collection(&name("pictures")).unwrap();
        assert_eq!((pictures.len(), pictures.sequence()), (150, 12 + start));
        let documents = pictures.list(None, 1000).unwrap();
        assert_eq!(documents.len(), 150);
        for (n, document) in (0..).zip(&documents) {
            assert_eq!(document.id.as_str(), format!("doc-{n:03}"));
            assert!(!document.text_truncated);
            let vector = vec![n as f32, 0.5, -1.0, 1.0 / 3.0];
            let vectors = pictures.vectors(document.key).unwrap();
            if n == 3 || n == 7 {
                assert_eq!(document.text, None);
                let hash = document.image.as_ref().unwrap().hash;
                let bytes = pictures.read_image(&hash).unwrap().unwrap();
                assert_eq!(bytes, "not really a picture");
                assert_eq!(vectors, [(VectorKind::Image, vector)]);
            } else if start == 0 || n != 5 {
                let times = if n == 149 { 10_000 } else { 1 };
                let expected = format!("text {n} ").repeat(times);
                assert_eq!(document.text.as_ref(), Some(&expected));
                assert_eq!(
                    document.metadata,
                    object(json!({"n": n, "third": n as f64 / 3.0}))
                );
                assert_eq!(document.created_at, 1_700_000_000_000 + n);
                assert_eq!(document.updated_at, 1_700_000_001_000 + n);
                assert_eq!(document.key, DocumentKey::new(2 * n + 1));
                assert_eq!(vectors, [(VectorKind::Text, vector)]);
            }
        }
        assert_eq!(image_files(dir.path()).len(), 1);

        // New keys continue from its counters.
        let id: DocumentId = "doc-005".parse().unwrap();
        let replaced = documents[5].key;
        let mut write = text("doc-005", "new");
        write.vectors = vec![(VectorKind::Text, vec![5.0, 0.5, -1.0, 1.0 / 3.0])];
        let outcomes = pictures.commit(vec![Write::Put(write)]).unwrap().outcomes;
        let key = DocumentKey::new(300 + start);
        assert_eq!(outcomes, [Outcome::Updated { key, replaced }]);
        let document = pictures.get(&id).unwrap().unwrap();
        assert_eq!(document.created_at, 1_700_000_000_005);
        drop((store, pictures));
    }
}
