use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sled::Db;
use tempfile::TempDir;

use super::*;

fn open(dir: &Path) -> Db {
    // sled releases its lock a moment after the last handle is dropped.
    for _ in 0..500 {
        match sled::Config::new()
            .path(dir.join("sled"))
            .segment_size(4 << 20)
            .flush_every_ms(None)
            .open()
        {
            Err(sled::Error::Io(_)) => std::thread::sleep(std::time::Duration::from_millis(10)),
            opened => return opened.unwrap(),
        }
    }
    panic!("sled stays locked");
}

/// A copy of the committed folder of format 1; `examples/write_format_1.rs` wrote it.
fn format_1() -> TempDir {
    let copy = TempDir::new().unwrap();
    let saved = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/format-1/sled");
    fs::create_dir(copy.path().join("sled")).unwrap();
    for entry in fs::read_dir(saved).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(
                entry.path(),
                copy.path().join("sled").join(entry.file_name()),
            )
            .unwrap();
        }
    }
    copy
}

fn content(db: &Db) -> BTreeMap<(Vec<u8>, Vec<u8>), Vec<u8>> {
    let mut content = BTreeMap::new();
    for name in db.tree_names() {
        for entry in &db.open_tree(&name).unwrap() {
            let (key, value) = entry.unwrap();
            content.insert((name.to_vec(), key.to_vec()), value.to_vec());
        }
    }
    content
}

#[test]
fn the_migrations_lead_to_the_current_format_without_a_gap() {
    let formats: Vec<u32> = MIGRATIONS.iter().map(|migration| migration.to).collect();
    assert_eq!(formats, (2..=FORMAT_VERSION).collect::<Vec<_>>());
}

#[test]
fn a_new_folder_gets_the_current_format() {
    let dir = TempDir::new().unwrap();
    let db = open(dir.path());
    let new = Report {
        from: None,
        steps: 0,
    };
    assert_eq!(migrate(&db, dir.path()).unwrap(), new);
    let current = Report {
        from: Some(FORMAT_VERSION),
        steps: 0,
    };
    assert_eq!(migrate(&db, dir.path()).unwrap(), current);
}

#[test]
fn a_folder_that_cannot_be_migrated_stays_unchanged() {
    let refusal = |prepare: &dyn Fn(&Db, &Path)| {
        let dir = TempDir::new().unwrap();
        let db = open(dir.path());
        prepare(&db, dir.path());
        let before = content(&db);
        let error = migrate(&db, dir.path()).unwrap_err();
        assert_eq!(content(&db), before);
        assert!(
            error.to_string().contains(dir.path().to_str().unwrap()),
            "{error}"
        );
        error
    };
    let with_format = |format: &'static str| {
        move |db: &Db, _: &Path| {
            db.open_tree("meta")
                .unwrap()
                .insert("format", format)
                .unwrap();
        }
    };

    let newer = refusal(&with_format("99"));
    assert!(matches!(
        newer,
        MigrationError::Newer {
            found: 99,
            known: FORMAT_VERSION,
            ..
        }
    ));
    assert!(
        newer.to_string().contains("99") && newer.to_string().contains("to 3"),
        "{newer}"
    );

    for format in ["", "0", "-1", "two"] {
        let unreadable = refusal(&with_format(format));
        assert!(
            matches!(unreadable, MigrationError::UnreadableVersion { .. }),
            "{unreadable}"
        );
    }

    let foreign = refusal(&|db, _| drop(db.insert("a", "b").unwrap()));
    assert!(
        matches!(foreign, MigrationError::Unversioned { .. }),
        "{foreign}"
    );
    let images = refusal(&|_, dir| fs::create_dir_all(dir.join("images/1")).unwrap());
    assert!(
        matches!(images, MigrationError::Unversioned { .. }),
        "{images}"
    );
}

#[test]
fn interruptions_do_not_change_the_result_of_a_migration() {
    let dir = format_1();
    let db = open(dir.path());
    let report = migrate(&db, dir.path()).unwrap();
    assert_eq!(report.from, Some(1));
    let whole = content(&db);
    drop(db);

    // Three batches of documents, the counters, the catalog.
    assert_eq!(report.steps, 5);
    let of = |prefix: u8| {
        let keys = whole
            .keys()
            .filter(|(tree, _)| tree.starts_with(b"documents-"));
        keys.filter(|(_, key)| key[0] == prefix).count()
    };
    assert_eq!((of(b'I'), of(b'V'), of(b'R'), of(b'C')), (150, 150, 2, 1));
    // Three parts of the long text, one of each other document.
    assert_eq!(of(b'D'), 149 + 3);
    assert_eq!(whole.len(), 150 + 152 + 150 + 2 + 1 + 3 + 1);
    assert!(
        whole
            .iter()
            .all(|((tree, _), value)| tree == b"meta" || value[0] == 2)
    );

    for killed_after in 0..report.steps {
        let dir = format_1();
        let db = open(dir.path());
        for _ in 0..killed_after {
            assert!((MIGRATIONS[0].step)(&db).unwrap());
        }
        db.flush().unwrap();
        drop(db);
        let db = open(dir.path());
        let rest = migrate(&db, dir.path()).unwrap();
        assert_eq!(rest.steps, report.steps - killed_after);
        assert_eq!(content(&db), whole);
    }
}

#[test]
fn values_of_format_2_stay_unchanged() {
    let dir = format_1();
    let db = open(dir.path());
    while (MIGRATIONS[0].step)(&db).unwrap() {}
    version::write(&db, 2).unwrap();
    let before = content(&db);
    let report = migrate(&db, dir.path()).unwrap();
    assert_eq!((report.from, report.steps), (Some(2), 0));
    let mut after = content(&db);
    let version = (b"meta".to_vec(), b"format".to_vec());
    assert_eq!(after.insert(version, b"2".to_vec()), Some(b"3".to_vec()));
    assert_eq!(after, before);
}

#[test]
fn a_corrupt_document_of_format_1_is_reported() {
    for damaged in ["{\"id\":\"doc-100\"", "{\"id\":\"doc-100\"}"] {
        let dir = format_1();
        let db = open(dir.path());
        let tree = db.open_tree("documents-1").unwrap();
        tree.insert("d/doc-100", damaged).unwrap();
        let error = migrate(&db, dir.path()).unwrap_err();
        assert!(error.to_string().contains("doc-100"), "{error}");
        assert_eq!(version::read(&db, dir.path()).unwrap(), Some(1));
    }
}
