//! The verification judged: whatever is done behind the journals' backs it tells, and nothing
//! else.

use std::path::PathBuf;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use super::document::Document;
use super::journal::Journal;
use super::shelves::{GIVEN, SHARED, Sort};
use super::writer::Writer;
use super::{Report, verify};
use crate::server::Server;

/// Requests of one writer; each collection has documents then.
const REQUESTS: usize = 60;

fn random() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// A server that one writer wrote to, and its journal; nothing is wrong with it.
fn written() -> (Server, Vec<Journal>) {
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
    assert_eq!(found(&server, &mut journals), [""; 0]);
    (server, journals)
}

/// What is wrong.
fn found(server: &Server, journals: &mut [Journal]) -> Vec<String> {
    verify::serving(server, journals, &mut random(), &mut Report::default())
        .err()
        .unwrap_or_default()
}

/// A document that is known to be there and passes the test.
fn one(
    journals: &mut [Journal],
    collection: &str,
    test: impl Fn(&Document) -> bool,
) -> (String, Document) {
    let shelf = journals[0].shelf(collection);
    let mut known = (shelf.documents.iter())
        .filter_map(|(id, possible)| Some((id.clone(), possible.known()?.clone()?)));
    known.find(|(_, document)| test(document)).unwrap()
}

#[test]
fn a_lost_document_is_told_by_its_id_and_nothing_else() {
    let (server, mut journals) = written();
    for collection in [SHARED, GIVEN] {
        let (id, _) = one(&mut journals, collection, |_| true);
        let path = format!("/collections/{collection}/documents/{id}");
        server.client().delete(&path).expect(204);
        let due = format!("{collection}: {id}: it is not there");
        assert_eq!(found(&server, &mut journals), [due]);
        journals[0].shelf(collection).documents.remove(&id);
    }
}

#[test]
fn a_changed_document_is_told_by_what_is_other() {
    let (server, mut journals) = written();
    let (id, mut document) = one(&mut journals, SHARED, |known| known.text.is_some());
    let text = document.text.replace("another text".into());
    let path = format!("/collections/{SHARED}/documents/{id}");
    server.client().put(&path, &document.body(None)).expect(200);
    let due = format!("{SHARED}: {id}: its text is Some(\"another text\"), not {text:?}");
    assert_eq!(found(&server, &mut journals), [due]);
}

#[test]
fn a_vector_of_another_time_is_told_by_its_document() {
    let (server, mut journals) = written();
    let (id, mut document) = one(&mut journals, GIVEN, |known| known.has("text"));
    let other = Document::random(&mut random(), Sort::Given);
    assert!(other.has("text") && other.has("image") == document.has("image"));
    document.vectors = other.vectors;
    let path = format!("/collections/{GIVEN}/documents/{id}");
    server.client().put(&path, &document.body(None)).expect(200);
    let told = found(&server, &mut journals);
    assert!(!told.is_empty());
    for wrong in told {
        let begins = format!("{GIVEN}: {id}: its ");
        assert!(
            wrong.starts_with(&begins) && wrong.contains("vector in the index is another"),
            "{wrong}"
        );
    }
}

#[test]
fn a_document_that_nobody_wrote_is_told() {
    let (server, mut journals) = written();
    let stray = Document::random(&mut random(), Sort::Given);
    let path = format!("/collections/{GIVEN}/documents/stray");
    server.client().put(&path, &stray.body(None)).expect(200);
    let told = found(&server, &mut journals);
    let due = format!("{GIVEN}: stray is there and was never written, or was deleted");
    assert_eq!(told[0], due);
    // And each search that everything answers finds it.
    let only = |wrong: &String| wrong.contains("stray");
    assert!(told.iter().all(only), "{told:#?}");
}

/// Two collections of as many writes, and of documents that only their vectors tell apart.
struct Twins {
    server: Server,
    journals: Vec<Journal>,
}

const TWINS: [&str; 2] = ["given-a", "given-b"];

impl Twins {
    fn new() -> Self {
        let server = Server::start();
        let mut journals = vec![Journal::new(0)];
        let mut random = random();
        for collection in TWINS {
            let shelf = journals[0].shelf(collection);
            shelf.there.begin(true);
            shelf.there.settle();
            let path = format!("/collections/{collection}");
            let definition = Sort::definition(collection);
            server.client().put(&path, &definition).expect(201);
        }
        for number in 0..3 {
            let mut document = Document::random(&mut random, Sort::Given);
            for collection in TWINS {
                document.vectors = Document::random(&mut random, Sort::Given).vectors;
                let id = format!("d{number}");
                let path = format!("/collections/{collection}/documents/{id}");
                let body = document.body(None);
                server.client().put(&path, &body).expect(200);
                let shelf = journals[0].shelf(collection);
                shelf.begin(&id, Some(document.clone()));
                shelf.settle(&id);
            }
        }
        assert_eq!(found(&server, &mut journals), [""; 0]);
        Self { server, journals }
    }

    /// Each gets the other's index of this name, while the server is stopped.
    fn swap(self, index: &str) -> Self {
        let stopped = self.server.stop();
        let folders = TWINS.map(|name| index_folder(stopped.data(), name).join(index));
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
fn vectors_of_other_documents_are_told_though_their_number_is_right() {
    let mut twins = Twins::new().swap("vectors");
    for collection in TWINS {
        let checked = twins.server.client().existing(collection).check();
        assert_eq!(checked["agrees"], true, "rows alone do not tell: {checked}");
    }
    let told = found(&twins.server, &mut twins.journals);
    for collection in TWINS {
        for number in 0..3 {
            let begins = format!("{collection}: d{number}");
            assert!(
                told.iter().any(|wrong| wrong.starts_with(&begins)),
                "{begins} is not told: {told:#?}"
            );
        }
    }
}

#[test]
fn an_index_of_other_documents_is_told() {
    for index in ["vectors", "words"] {
        let mut twins = Twins::new();
        // As many writes as before the start, and other rows.
        let client = twins.server.client();
        client
            .delete("/collections/given-a/documents/d0")
            .expect(204);
        let shelf = twins.journals[0].shelf("given-a");
        shelf.begin("d0", None);
        shelf.settle("d0");
        let shelf = twins.journals[0].shelf("given-b");
        let (body, revised) = shelf.known("d0").unwrap().revised(&mut random());
        client
            .patch("/collections/given-b/documents/d0", &body)
            .expect(200);
        shelf.begin("d0", Some(revised));
        shelf.settle("d0");
        let mut twins = twins.swap(index);
        let told = found(&twins.server, &mut twins.journals);
        for collection in TWINS {
            let due = format!("{collection}: the indexes and the documents disagree");
            assert!(
                told.iter().any(|wrong| wrong.starts_with(&due)),
                "{index}: {told:#?}"
            );
        }
    }
}

#[test]
fn a_collection_that_is_gone_or_back_is_told() {
    let (server, mut journals) = written();
    let path = format!("/collections/{SHARED}");
    server.client().delete(&path).expect(204);
    server
        .client()
        .put("/collections/back", &json!({}))
        .expect(201);
    assert_eq!(
        found(&server, &mut journals),
        [
            format!("collection {SHARED}: there is false, which is not as acknowledged"),
            "collection back was never made, or dropped and is back".to_owned()
        ]
    );
}
