//! One writer: sends random requests in sequence until there is no response. The journal records
//! each write before it is sent and again when it is acknowledged.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};

use super::collections::{CollectionKind, GIVEN, SHARED};
use super::document::Document;
use super::journal::Journal;
use super::vectors;
use crate::client::{Answer, Client, escaped};

/// Why a writer stopped.
pub(super) enum End {
    /// There was no response: the server was killed.
    Killed,
    /// The server is shutting down.
    Refused,
}

pub(super) struct Writer<'a> {
    pub client: &'a Client,
    pub journal: &'a mut Journal,
    pub random: StdRng,
    /// Acknowledged writes by kind.
    pub acknowledged: BTreeMap<&'static str, usize>,
}

impl Writer<'_> {
    /// Writes until the server is killed or shuts down.
    ///
    /// # Panics
    /// If a response is not one that a healthy server would give.
    pub(super) fn write_until_killed(&mut self) {
        while self.write_once().is_ok() {}
    }

    pub(super) fn write_once(&mut self) -> Result<(), End> {
        let collection = match self.random.random_range(0..100) {
            0..40 => SHARED.to_owned(),
            40..55 => self.journal.own(),
            55..85 => GIVEN.to_owned(),
            _ => self.journal.own_given(),
        };
        if self.journal.collection(&collection).exists.known() != Some(&true) {
            return self.create(&collection);
        }
        let may_be_dropped = collection != SHARED && collection != GIVEN;
        match self.random.random_range(0..100) {
            0..30 => self.post(&collection, "application/json"),
            30..40 => self.post(&collection, "application/x-ndjson"),
            40..56 => self.put(&collection),
            56..68 => self.patch(&collection),
            68..80 => self.delete(&collection),
            80..84 => self.delete_some(&collection),
            84..88 if may_be_dropped => self.drop(&collection),
            84..87 => self.copy(&collection),
            88..92 => self.compact(&collection),
            _ => self.search(&collection),
        }
    }

    fn id(&mut self, collection: &str) -> String {
        let number = self
            .random
            .random_range(0..CollectionKind::of(collection).ids());
        self.journal.id(number)
    }

    fn document(&mut self, collection: &str) -> Document {
        let mut made = Document::random(&mut self.random, CollectionKind::of(collection));
        let by = self.journal.signature();
        made.metadata.insert("by".into(), by.into());
        made
    }

    fn create(&mut self, collection: &str) -> Result<(), End> {
        let exists = &mut self.journal.collection(collection).exists;
        if exists.known() == Some(&false) {
            exists.begin(true);
        }
        let path = format!("/collections/{collection}");
        let body = CollectionKind::definition(collection).to_string();
        self.ask(Method::PUT, &path, None, body, &[200, 201])?;
        self.journal.collection(collection).exists.confirm();
        self.count("create a collection");
        Ok(())
    }

    fn drop(&mut self, collection: &str) -> Result<(), End> {
        self.journal.collection(collection).exists.begin(false);
        let path = format!("/collections/{collection}");
        self.ask(Method::DELETE, &path, None, String::new(), &[204])?;
        let journal = self.journal.collection(collection);
        journal.exists.confirm();
        journal.documents.clear();
        self.count("drop a collection");
        Ok(())
    }

    fn post(&mut self, collection: &str, kind: &'static str) -> Result<(), End> {
        let mut documents: BTreeMap<String, Document> = BTreeMap::new();
        for _ in 0..self
            .random
            .random_range(1..CollectionKind::of(collection).batch())
        {
            let id = self.id(collection);
            documents.insert(id, self.document(collection));
        }
        let bodies: Vec<Value> = documents
            .iter()
            .map(|(id, made)| made.body(Some(id)))
            .collect();
        let body = if kind == "application/json" {
            Value::Array(bodies).to_string()
        } else {
            let lines = bodies.iter().map(|body| format!("{body}\n"));
            lines.collect()
        };
        for (id, document) in &documents {
            self.journal
                .collection(collection)
                .begin(id, Some(document.clone()));
        }
        let path = format!("/collections/{collection}/documents");
        let answer = self
            .ask(Method::POST, &path, Some(kind), body, &[200])?
            .json();
        let results = answer["results"].as_array().cloned().unwrap_or_default();
        assert_eq!(results.len(), documents.len(), "{answer:#}");
        for result in &results {
            let id = result["id"].as_str().unwrap_or_default();
            match result["status"].as_str() {
                Some("created" | "updated") => self.journal.collection(collection).confirm(id),
                // The server is shutting down in the middle of a batch: the write may be done or not.
                _ if is_stopping(&result["error"]) => return Err(End::Refused),
                _ => panic!("a good document failed: {result:#}"),
            }
        }
        self.count(if kind == "application/json" {
            "post an array"
        } else {
            "post NDJSON"
        });
        Ok(())
    }

    fn put(&mut self, collection: &str) -> Result<(), End> {
        let id = self.id(collection);
        let document = self.document(collection);
        let body = document.body(None).to_string();
        self.journal
            .collection(collection)
            .begin(&id, Some(document));
        let path = format!("/collections/{collection}/documents/{id}");
        self.ask(Method::PUT, &path, None, body, &[200, 201])?;
        self.journal.collection(collection).confirm(&id);
        self.count("put a document");
        Ok(())
    }

    fn patch(&mut self, collection: &str) -> Result<(), End> {
        let id = self.id(collection);
        let path = format!("/collections/{collection}/documents/{id}");
        let Some(document) = self.journal.collection(collection).known(&id).cloned() else {
            self.ask(Method::PATCH, &path, None, "{}".into(), &[404])?;
            return Ok(());
        };
        let (body, revised) = document.revised(&mut self.random);
        self.journal
            .collection(collection)
            .begin(&id, Some(revised));
        self.ask(Method::PATCH, &path, None, body.to_string(), &[200])?;
        self.journal.collection(collection).confirm(&id);
        self.count("patch a document");
        Ok(())
    }

    fn delete(&mut self, collection: &str) -> Result<(), End> {
        let id = self.id(collection);
        let path = format!("/collections/{collection}/documents/{id}");
        let known = self.journal.collection(collection).known(&id).is_some();
        self.journal.collection(collection).begin(&id, None);
        let due = if known { 204 } else { 404 };
        self.ask(Method::DELETE, &path, None, String::new(), &[due])?;
        self.journal.collection(collection).confirm(&id);
        self.count("delete a document");
        Ok(())
    }

    /// Deletes its documents whose `count` is below a random number, in one request.
    fn delete_some(&mut self, collection: &str) -> Result<(), End> {
        let below = self.random.random_range(0..500);
        let by = self.journal.signature();
        let journal = self.journal.collection(collection);
        let those: Vec<String> = (journal.documents.keys())
            .filter(|id| journal.known(id).is_some_and(|known| known.count() < below))
            .cloned()
            .collect();
        for id in &those {
            journal.begin(id, None);
        }
        let filter = json!({ "by": by, "count": { "$lt": below } }).to_string();
        let path = format!(
            "/collections/{collection}/documents?filter={}",
            escaped(&filter)
        );
        let answer = self.ask(Method::DELETE, &path, None, String::new(), &[200])?;
        assert_eq!(answer.json()["deleted"], those.len(), "{path}: {answer:?}");
        for id in &those {
            self.journal.collection(collection).confirm(id);
        }
        self.count("delete by filter");
        Ok(())
    }

    /// Takes a snapshot of a shared collection and restores it under another name.
    fn copy(&mut self, collection: &str) -> Result<(), End> {
        let path = format!("/collections/{collection}/snapshots");
        let answer = self.ask(Method::POST, &path, None, String::new(), &[201, 409])?;
        if answer.status == 409 {
            // Another writer is taking one.
            return Ok(());
        }
        self.count("take a snapshot");
        let body = json!({ "snapshot": answer.json()["id"], "collection": collection });
        let path = format!("/collections/{}/restore", self.journal.restored(collection));
        self.ask(
            Method::POST,
            &path,
            Some("application/json"),
            body.to_string(),
            &[200],
        )?;
        self.count("restore a snapshot");
        Ok(())
    }

    fn compact(&mut self, collection: &str) -> Result<(), End> {
        let path = format!("/collections/{collection}/compact");
        self.ask(Method::POST, &path, None, String::new(), &[202])?;
        self.count("request a compaction");
        Ok(())
    }

    fn search(&mut self, collection: &str) -> Result<(), End> {
        let body = match CollectionKind::of(collection) {
            CollectionKind::Given => {
                json!({ "vector": vectors::vector(self.random.random()), "limit": 10 })
            }
            CollectionKind::Embedded => {
                let text = self.document(collection).text.unwrap_or_default();
                json!({ "text": format!("a {text}"), "limit": 10 })
            }
        };
        let path = format!("/collections/{collection}/search");
        self.ask(Method::POST, &path, None, body.to_string(), &[200])
            .map(drop)
    }

    fn count(&mut self, kind: &'static str) {
        *self.acknowledged.entry(kind).or_default() += 1;
    }

    /// The response, which has one of these statuses.
    fn ask(
        &self,
        method: Method,
        path: &str,
        kind: Option<&str>,
        body: String,
        expected: &[u16],
    ) -> Result<Answer, End> {
        let answer = self
            .client
            .try_send(method, path, kind, body)
            .map_err(|_| End::Killed)?;
        if answer.status == 503 && is_stopping(&answer.json()) {
            return Err(End::Refused);
        }
        assert!(
            expected.contains(&answer.status),
            "expected {expected:?}: {answer:?}"
        );
        Ok(answer)
    }
}

fn is_stopping(problem: &Value) -> bool {
    problem["code"] == "stopping"
}
