//! Tests of the verification: it reports every change that is not in the journals, and nothing
//! else.

use std::path::PathBuf;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use super::collections::{CollectionKind, GIVEN, SHARED};
use super::document::Document;
use super::journal::Journal;
use super::writer::Writer;
use super::{Report, verify};
use crate::server::Server;

/// Enough requests of one writer for documents in each collection.
const REQUESTS: usize = 60;

fn random() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// A server that one writer wrote to, and the journal. It has no faults.
fn written_server() -> (Server, Vec<Journal>) {
    let server = Server::start();
    let mut journal = Journal::new(0);
    let mut writer = Writer {
        client: server.client(),
        journal: &mut journal,
        random: random(),
        acknowledged: Default::default(),
    };
    for _ in 0..REQUESTS {
        assert!(writer.write_once().is_ok());
    }
    let mut journals = vec![journal];
    assert_eq!(faults(&server, &mut journals), [""; 0]);
    (server, journals)
}

fn faults(server: &Server, journals: &mut [Journal]) -> Vec<String> {
    verify::serving(server, journals, &mut random(), &mut Report::default())
        .err()
        .unwrap_or_default()
}

/// A document that is known to exist and passes the test.
fn one(
    journals: &mut [Journal],
    collection: &str,
    test: impl Fn(&Document) -> bool,
) -> (String, Document) {
    let journal = journals[0].collection(collection);
    let mut known = (journal.documents.iter())
        .filter_map(|(id, possible)| Some((id.clone(), possible.known()?.clone()?)));
    known.find(|(_, document)| test(document)).unwrap()
}

#[test]
fn a_lost_document_is_the_only_fault() {
    let (server, mut journals) = written_server();
    for collection in [SHARED, GIVEN] {
        let (id, _) = one(&mut journals, collection, |_| true);
        let path = format!("/collections/{collection}/documents/{id}");
        server.client().delete(&path).expect(204);
        let due = format!("{collection}: {id}: it does not exist");
        assert_eq!(faults(&server, &mut journals), [due]);
        journals[0].collection(collection).documents.remove(&id);
    }
}

#[test]
fn a_changed_document_is_reported_with_the_difference() {
    let (server, mut journals) = written_server();
    let (id, mut document) = one(&mut journals, SHARED, |known| known.text.is_some());
    let text = document.text.replace("another text".into());
    let path = format!("/collections/{SHARED}/documents/{id}");
    server.client().put(&path, &document.body(None)).expect(200);
    let due = format!("{SHARED}: {id}: its text is Some(\"another text\"), not {text:?}");
    assert_eq!(faults(&server, &mut journals), [due]);
}

#[test]
fn a_changed_vector_is_reported_with_its_document() {
    let (server, mut journals) = written_server();
    let (id, mut document) = one(&mut journals, GIVEN, |known| known.has("text"));
    let other = Document::random(&mut random(), CollectionKind::Given);
    assert!(other.has("text") && other.has("image") == document.has("image"));
    document.vectors = other.vectors;
    let path = format!("/collections/{GIVEN}/documents/{id}");
    server.client().put(&path, &document.body(None)).expect(200);
    let found = faults(&server, &mut journals);
    assert!(!found.is_empty());
    for fault in found {
        let begins = format!("{GIVEN}: {id}: its ");
        assert!(
            fault.starts_with(&begins) && fault.contains("vector in the index is a different one"),
            "{fault}"
        );
    }
}

#[test]
fn a_document_that_was_never_written_is_reported() {
    let (server, mut journals) = written_server();
    let stray = Document::random(&mut random(), CollectionKind::Given);
    let path = format!("/collections/{GIVEN}/documents/stray");
    server.client().put(&path, &stray.body(None)).expect(200);
    let found = faults(&server, &mut journals);
    let due = format!("{GIVEN}: stray exists and was never written, or was deleted");
    assert_eq!(found[0], due);
    // Each search that returns all documents finds it too.
    let only = |fault: &String| fault.contains("stray");
    assert!(found.iter().all(only), "{found:#?}");
}

/// Two collections of the same number of writes, whose documents differ only in their vectors.
struct Pair {
    server: Server,
    journals: Vec<Journal>,
}

const PAIR: [&str; 2] = ["given-a", "given-b"];

impl Pair {
    fn new() -> Self {
        let server = Server::start();
        let mut journals = vec![Journal::new(0)];
        let mut random = random();
        for collection in PAIR {
            let journal = journals[0].collection(collection);
            journal.exists.begin(true);
            journal.exists.confirm();
            let path = format!("/collections/{collection}");
            let definition = CollectionKind::definition(collection);
            server.client().put(&path, &definition).expect(201);
        }
        for number in 0..3 {
            let mut document = Document::random(&mut random, CollectionKind::Given);
            for collection in PAIR {
                document.vectors = Document::random(&mut random, CollectionKind::Given).vectors;
                let id = format!("d{number}");
                let path = format!("/collections/{collection}/documents/{id}");
                let body = document.body(None);
                server.client().put(&path, &body).expect(200);
                let journal = journals[0].collection(collection);
                journal.begin(&id, Some(document.clone()));
                journal.confirm(&id);
            }
        }
        assert_eq!(faults(&server, &mut journals), [""; 0]);
        Self { server, journals }
    }

    /// Stops the server, swaps the indexes of this name, and starts it again.
    fn swap(self, index: &str) -> Self {
        let stopped = self.server.stop();
        let folders = PAIR.map(|name| index_folder(stopped.data(), name).join(index));
        let aside = stopped.data().join("aside");
        for (from, to) in [
            (&folders[0], &aside),
            (&folders[1], &folders[0]),
            (&aside, &folders[1]),
        ] {
            std::fs::rename(from, to).unwrap();
        }
        Self {
            server: stopped.start(),
            ..self
        }
    }
}

fn index_folder(data: PathBuf, collection: &str) -> PathBuf {
    let folders = std::fs::read_dir(data.join("index")).unwrap();
    let mut paths = folders.map(|folder| folder.unwrap().path());
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("{collection}-"))
    };
    paths.find(named).unwrap()
}

#[test]
fn swapped_vectors_are_reported_although_their_number_is_right() {
    let mut pair = Pair::new().swap("vectors");
    for collection in PAIR {
        let checked = pair.server.client().existing(collection).check();
        assert_eq!(
            checked["agrees"], true,
            "the rows alone do not reveal it: {checked}"
        );
    }
    let found = faults(&pair.server, &mut pair.journals);
    for collection in PAIR {
        for number in 0..3 {
            let begins = format!("{collection}: d{number}");
            assert!(
                found.iter().any(|fault| fault.starts_with(&begins)),
                "{begins} is not reported: {found:#?}"
            );
        }
    }
}

#[test]
fn a_swapped_index_is_reported() {
    for index in ["vectors", "words"] {
        let mut pair = Pair::new();
        // The same number of writes, but different rows.
        let client = pair.server.client();
        client
            .delete("/collections/given-a/documents/d0")
            .expect(204);
        let journal = pair.journals[0].collection("given-a");
        journal.begin("d0", None);
        journal.confirm("d0");
        let journal = pair.journals[0].collection("given-b");
        let (body, revised) = journal.known("d0").unwrap().revised(&mut random());
        client
            .patch("/collections/given-b/documents/d0", &body)
            .expect(200);
        journal.begin("d0", Some(revised));
        journal.confirm("d0");
        let mut pair = pair.swap(index);
        let found = faults(&pair.server, &mut pair.journals);
        for collection in PAIR {
            let due = format!("{collection}: the indexes and the documents disagree");
            assert!(
                found.iter().any(|fault| fault.starts_with(&due)),
                "{index}: {found:#?}"
            );
        }
    }
}

#[test]
fn a_missing_or_reappeared_collection_is_reported() {
    let (server, mut journals) = written_server();
    let path = format!("/collections/{SHARED}");
    server.client().delete(&path).expect(204);
    server
        .client()
        .put("/collections/back", &json!({}))
        .expect(201);
    assert_eq!(
        faults(&server, &mut journals),
        [
            format!(
                "collection {SHARED}: exists is false, which contradicts the acknowledged writes"
            ),
            "collection back was never created, or reappeared after a drop".to_owned()
        ]
    );
}
