//! An engine for tests, without a model: documents bring their vectors. Each engine has its own
//! temporary data folder.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use clipdb_storage::{CollectionName, DocumentId, VectorKind};
use futures_util::StreamExt;
use futures_util::stream::iter;
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::blocking::blocking;
use crate::collection::collection::Collection;
use crate::collection::definition::{CollectionSpec, NO_MODEL};
use crate::documents::ingest::{Draft, Incoming, Stored};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::metrics::statistics::Statistics;
use crate::models::Models;
use crate::search::confidence::Cut;
use crate::search::query::{Content, Mode, Part, Query, Targets};
use crate::search::search::Answer;
use crate::search::view::View;
use crate::settings::EngineSettings;

/// The dimensions of the collections in tests.
pub(crate) const DIM: usize = 4;

pub(crate) struct TestEngine {
    engine: Arc<Engine>,
    folder: Arc<TempDir>,
}

impl Deref for TestEngine {
    type Target = Arc<Engine>;

    fn deref(&self) -> &Arc<Engine> {
        &self.engine
    }
}

impl TestEngine {
    pub(crate) fn open() -> Self {
        Self::open_with(|_| {})
    }

    pub(crate) fn open_with(change: impl FnOnce(&mut EngineSettings)) -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        Self::open_in(folder, change).unwrap()
    }

    fn open_in(
        folder: Arc<TempDir>,
        change: impl FnOnce(&mut EngineSettings),
    ) -> Result<Self, EngineError> {
        let mut settings = EngineSettings {
            data: folder.path().to_owned(),
            cache_bytes: 16 << 20,
            disk_reserve_bytes: 0,
            start_patience: Duration::from_secs(10),
            ..EngineSettings::default()
        };
        change(&mut settings);
        let statistics = Arc::new(Statistics::new().unwrap());
        Ok(Self {
            engine: Engine::open(settings, |_| Models::new(Vec::new()), statistics)?,
            folder,
        })
    }

    /// Closes the engine and opens its folder again.
    pub(crate) async fn reopen(self) -> Self {
        Self::open_again(self.close_and_keep_folder().await)
    }

    pub(crate) async fn close_and_keep_folder(self) -> Arc<TempDir> {
        self.close().await;
        self.folder
    }

    /// Closes the engine on the blocking pool.
    pub(crate) async fn close(&self) {
        let engine = Arc::clone(&self.engine);
        blocking(move || engine.close()).await.unwrap();
    }

    pub(crate) fn open_again(folder: Arc<TempDir>) -> Self {
        Self::open_in(folder, |_| {}).unwrap()
    }

    pub(crate) async fn make(&self, name: &str) -> Arc<Collection> {
        let made = self.create_collection(name_of(name), without_model(DIM));
        made.await.unwrap().0
    }

    pub(crate) fn index_folder(&self) -> std::path::PathBuf {
        self.folder.path().join("index")
    }
}

impl TestEngine {
    pub(crate) async fn put(
        &self,
        collection: &Arc<Collection>,
        drafts: Vec<Draft>,
    ) -> Vec<Result<Stored, EngineError>> {
        let incoming = drafts.into_iter().map(|draft| Incoming {
            id: draft.id.as_ref().map(ToString::to_string),
            draft: Ok(draft),
            share: None,
        });
        self.ingest(collection, iter(incoming))
            .map(|ingested| ingested.outcome)
            .collect()
            .await
    }

    /// Stores documents; panics if one fails.
    pub(crate) async fn store(&self, collection: &Arc<Collection>, drafts: Vec<Draft>) {
        for outcome in self.put(collection, drafts).await {
            outcome.unwrap();
        }
    }

    /// The ids of a search's hits, in their order.
    pub(crate) async fn found(&self, collection: &Arc<Collection>, query: Query) -> Vec<String> {
        ids(&self.search(collection, query).await.unwrap())
    }
}

pub(crate) fn ids(answer: &Answer) -> Vec<String> {
    let hits = answer.hits.iter();
    hits.map(|hit| hit.document.id.to_string()).collect()
}

pub(crate) fn name_of(name: &str) -> CollectionName {
    name.parse().unwrap()
}

pub(crate) fn id_of(id: &str) -> DocumentId {
    id.parse().unwrap()
}

pub(crate) fn without_model(dim: usize) -> CollectionSpec {
    CollectionSpec {
        model: Some(NO_MODEL.to_owned()),
        dim: Some(dim),
        ..CollectionSpec::default()
    }
}

/// A document with an image vector.
pub(crate) fn with_image(id: &str, vector: [f32; DIM]) -> Draft {
    Draft {
        id: Some(id_of(id)),
        vectors: vec![(VectorKind::Image, vector.to_vec())],
        ..Draft::default()
    }
}

/// A document with a text and a text vector.
pub(crate) fn with_text(id: &str, text: &str, vector: [f32; DIM]) -> Draft {
    Draft {
        id: Some(id_of(id)),
        text: Some(text.to_owned()),
        vectors: vec![(VectorKind::Text, vector.to_vec())],
        ..Draft::default()
    }
}

impl Draft {
    pub(crate) fn with_metadata(self, metadata: Value) -> Self {
        Self {
            metadata: object(metadata),
            ..self
        }
    }
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is not an object"),
    }
}

/// A search of all documents in one mode, for ten hits.
pub(crate) fn query(mode: Mode) -> Query {
    Query {
        parts: Vec::new(),
        keywords: None,
        typos: false,
        highlight: false,
        mode,
        targets: Targets::BOTH,
        fusion: clipdb_index::fusion::Fusion::default(),
        limit: 10,
        offset: 0,
        min_score: None,
        cut: Cut::default(),
        filter: None,
        view: View::default(),
        exact: false,
        ef: None,
        nprobe: None,
        with_vectors: false,
    }
}

pub(crate) fn by_vector(vector: [f32; DIM]) -> Query {
    Query {
        parts: vec![part(Content::Vector(vector.to_vec()), 1.0)],
        ..query(Mode::Vector)
    }
}

pub(crate) fn by_keywords(keywords: &str) -> Query {
    Query {
        keywords: Some(keywords.to_owned()),
        ..query(Mode::Keyword)
    }
}

pub(crate) fn part(content: Content, weight: f32) -> Part {
    Part { content, weight }
}
