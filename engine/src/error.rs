//! Everything that can go wrong in the engine, each variant with what happened, to what, and what
//! to do about it. Protocols map variants to their own codes.

use clipdb_embed::EmbedError;
use clipdb_index::{FilterError, IndexError, TypeConflict};
use clipdb_storage::{CollectionName, DocumentId, StorageError};

use crate::collection::field_limit::TooManyFields;
use crate::excerpt::quoted;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A document that its protocol refused before the engine saw it; the protocol's own error.
    #[error(transparent)]
    Refused(Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Embed(#[from] EmbedError),
    #[error(transparent)]
    Group(std::sync::Arc<EngineError>),
    #[error("the operating system gave no thread: {0}")]
    Thread(std::io::Error),
    #[error(
        "collection '{collection}' lists version {key} of a document and does not hold it; run 'clipdb serve' again and look at its log"
    )]
    LostVersion {
        collection: CollectionName,
        key: u64,
    },
    #[error("the metrics could not be written: {0}")]
    Metrics(String),
    #[error("the server is stopping and takes no more work")]
    Stopping,
    #[error("a thread that the request waited for ended early; the request may be sent again")]
    Interrupted,
    #[error(
        "collection '{0}' has lost its search index and could not rebuild it yet; its documents are \
         safe, it is tried again every few seconds, and the server's log says what is missing"
    )]
    IndexUnavailable(CollectionName),
    #[error(
        "the search index of collection '{collection}' is being brought up to date: {} of at most \
         {} documents so far; documents can be read, and searches in a while",
        progress.read, progress.documents
    )]
    CatchingUp {
        collection: CollectionName,
        progress: CatchingUp,
    },
    #[error(
        "there is no collection '{0}'; PUT /collections/{0} makes it \
         (the collection 'default' is made by its first document)"
    )]
    CollectionNotFound(CollectionName),
    #[error(
        "collection '{name}' exists with {existing}; it can't be changed to {wanted}: use another name, or delete it first"
    )]
    CollectionDiffers {
        name: CollectionName,
        existing: String,
        wanted: String,
    },
    #[error(
        "the server has {0} collections, as many as 'max_collections' allows: tell documents apart \
         by a metadata field and filter by it, delete collections, or start the server with a \
         larger --max-collections"
    )]
    TooManyCollections(usize),
    #[error("collection '{0}' was replaced by a restore meanwhile; send the request again")]
    CollectionReplaced(CollectionName),
    #[error("there is no snapshot '{}' of collection '{collection}'", quoted(.id))]
    SnapshotNotFound {
        collection: CollectionName,
        id: String,
    },
    #[error("there is no task '{0}'; a restart forgets them")]
    TaskNotFound(String),
    #[error("task '{0}' was cancelled")]
    TaskCancelled(String),
    #[error("{0} tasks are under way, and no more at once; wait for one or cancel it")]
    TooManyTasks(usize),
    #[error("collection '{name}' can't be opened by this version of clipdb: {reason}")]
    UnreadableDefinition {
        name: CollectionName,
        reason: String,
    },
    #[error(
        "collection '{0}' has no model: its documents bring 'vectors', and it is searched by \
         'vector' or in the mode 'keyword'"
    )]
    CollectionWithoutModel(CollectionName),
    #[error("there is no document '{id}' in collection '{collection}'")]
    DocumentNotFound {
        collection: CollectionName,
        id: DocumentId,
    },
    #[error("document '{0}' has no image")]
    NoImage(DocumentId),
    #[error(
        "collection '{collection}' was embedded with model '{wanted}', which is not loaded \
         (loaded: {loaded}); start the server with --model {wanted}"
    )]
    ModelNotLoaded {
        collection: CollectionName,
        wanted: String,
        loaded: String,
    },
    #[error(
        "collection '{collection}' was embedded with other weights of model '{model}' than those loaded; \
         their vectors can't be compared: load the old model or make a new collection"
    )]
    ModelChanged {
        collection: CollectionName,
        model: String,
    },
    #[error("no model is configured; give --model NAME")]
    NoModel,
    #[error("the model '{0}' is configured twice; give each once")]
    ModelTwice(String),
    #[error("there is no model '{}' in this server (loaded: {loaded})", quoted(.wanted))]
    UnknownModel { wanted: String, loaded: String },
    #[error("{0}")]
    InvalidField(String),
    #[error("a document needs a 'text', an 'image' or 'vectors'; this one has none of them")]
    EmptyDocument,
    #[error("the {kind} vector has no direction: {reason}")]
    NoDirection { kind: &'static str, reason: String },
    #[error("the parts of the query cancel each other out: nothing is left to look for")]
    CancelledQuery,
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error(
        "a deletion needs a 'filter' that picks documents, as in {{\"year\": 2024}}; to delete everything, delete the collection"
    )]
    EmptyFilter,
    #[error("{0}; send another value, or keep this one under another name")]
    TypeConflict(#[from] TypeConflict),
    #[error(transparent)]
    TooManyFields(#[from] TooManyFields),
    #[error("the vector has {got} numbers; collection '{collection}' has {wanted}")]
    WrongDimension {
        collection: CollectionName,
        got: usize,
        wanted: usize,
    },
    #[error(
        "this server does not fetch images from URLs unless it is started with --url-ingest; send the bytes as 'base64' or as a multipart file"
    )]
    UrlIngestDisabled,
    #[error("'{}' is not fetched: {reason}", quoted(.url))]
    UrlRefused { url: String, reason: String },
    #[error("'{}' could not be fetched: {reason}", quoted(.url))]
    UrlNotFetched { url: String, reason: String },
    #[error("URL ingest could not be set up: {0}")]
    UrlClient(String),
    #[error("{what} is larger than the limit of {limit} bytes ('{setting}')")]
    TooLarge {
        what: &'static str,
        limit: u64,
        setting: &'static str,
    },
    #[error(
        "memory for requests was used up for {0} seconds ('ingest_memory_mib'); send the request again later"
    )]
    Overloaded(u64),
}

/// How far indexes have come.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct CatchingUp {
    /// Documents read so far to be indexed.
    pub read: u64,
    /// Documents of the collection, not all of which may need it.
    pub documents: u64,
}

impl EngineError {
    /// What is corrupt, if this failure to open a collection says that its documents are.
    pub(crate) fn damage(&self) -> Option<String> {
        match self {
            Self::Storage(StorageError::Damaged { what, reason }) => {
                Some(format!("{what}: {reason}"))
            }
            Self::LostVersion { key, .. } => Some(format!(
                "version {key} of a document is listed and is not there"
            )),
            _ => None,
        }
    }
}
