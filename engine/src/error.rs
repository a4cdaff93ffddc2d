//! The engine's error. Each message says what happened, to which item, and what the client can do.
//! Protocols map variants to their own codes.

use clipdb_embed::EmbedError;
use clipdb_index::{FilterError, IndexError, TypeConflict};
use clipdb_storage::{CollectionName, DocumentId, StorageError};

use crate::collection::field_limit::TooManyFields;
use crate::excerpt::excerpt;

/// Everything that can go wrong in the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The protocol refused a document before the engine saw it; holds the protocol's own error.
    #[error(transparent)]
    Refused(Box<dyn std::error::Error + Send + Sync>),
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A search index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// An input could not be embedded.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// A group of writes failed; every write in it gets this error.
    #[error(transparent)]
    Group(std::sync::Arc<EngineError>),
    /// The operating system refused to create a thread.
    #[error("could not spawn a thread: {0}")]
    Thread(std::io::Error),
    /// A document version is listed but cannot be found: the collection is corrupt.
    #[error(
        "collection '{collection}' lists version {key} of a document but does not hold it; run 'clipdb serve' again and check its log"
    )]
    LostVersion {
        /// The corrupt collection.
        collection: CollectionName,
        /// The version's number.
        key: u64,
    },
    /// A metric could not be registered or rendered.
    #[error("could not register or render the metrics: {0}")]
    Metrics(String),
    /// The engine is shutting down.
    #[error("the server is shutting down and accepts no more work")]
    Stopping,
    /// The thread that did the work panicked or was cancelled.
    #[error("a thread that the request waited for ended early; the request can be sent again")]
    Interrupted,
    /// The collection's search index is lost and could not be rebuilt yet.
    #[error(
        "collection '{0}' has lost its search index and could not rebuild it yet; its documents are \
         safe, the rebuild is retried every few seconds, and the server's log says what is missing"
    )]
    IndexUnavailable(CollectionName),
    /// The collection's search index still lacks documents.
    #[error(
        "the search index of collection '{collection}' is being brought up to date: {} of at most \
         {} documents are done; documents can be read now and searched in a while",
        progress.read, progress.documents
    )]
    CatchingUp {
        /// The collection that was searched.
        collection: CollectionName,
        /// How far its index has come.
        progress: CatchingUp,
    },
    /// No collection has this name.
    #[error(
        "there is no collection '{0}'; PUT /collections/{0} creates it \
         (the collection 'default' is created by its first document)"
    )]
    CollectionNotFound(CollectionName),
    /// The collection exists with another definition.
    #[error(
        "collection '{name}' exists with {existing}; it can't be changed to {wanted}: use another name, or delete it first"
    )]
    CollectionDiffers {
        /// The existing collection.
        name: CollectionName,
        /// The part of its definition that differs.
        existing: String,
        /// The same part of the requested definition.
        wanted: String,
    },
    /// The limit on collections, which it holds, is reached.
    #[error(
        "the server has {0} collections, the most that 'max_collections' allows: distinguish documents \
         by a metadata field and filter by it, delete collections, or start the server with a \
         larger --max-collections"
    )]
    TooManyCollections(usize),
    /// A restore replaced the collection while the request waited.
    #[error("collection '{0}' was replaced by a restore in the meantime; send the request again")]
    CollectionReplaced(CollectionName),
    /// The collection has no such snapshot.
    #[error("there is no snapshot '{}' of collection '{collection}'", excerpt(.id))]
    SnapshotNotFound {
        /// The collection's name.
        collection: CollectionName,
        /// The id that was requested.
        id: String,
    },
    /// No task has this id.
    #[error("there is no task '{0}'; the server forgets tasks when it restarts")]
    TaskNotFound(String),
    /// The task with this id was cancelled.
    #[error("task '{0}' was cancelled")]
    TaskCancelled(String),
    /// The limit on running tasks, which it holds, is reached.
    #[error("{0} tasks are running, the most allowed at once; wait for one or cancel it")]
    TooManyTasks(usize),
    /// A newer version of clipdb wrote the collection's definition.
    #[error("collection '{name}' can't be opened by this version of clipdb: {reason}")]
    UnreadableDefinition {
        /// The collection's name.
        name: CollectionName,
        /// The part that this version does not know.
        reason: String,
    },
    /// The collection has no model, so nothing can be embedded for it.
    #[error(
        "collection '{0}' has no model: send its documents with 'vectors', and search it by \
         'vector' or in the mode 'keyword'"
    )]
    CollectionWithoutModel(CollectionName),
    /// The collection has no document with this id.
    #[error("there is no document '{id}' in collection '{collection}'")]
    DocumentNotFound {
        /// The collection's name.
        collection: CollectionName,
        /// The id that was requested.
        id: DocumentId,
    },
    /// The document exists but has no image, or no image vector.
    #[error("document '{0}' has no image")]
    NoImage(DocumentId),
    /// The collection's model is not loaded.
    #[error(
        "collection '{collection}' was embedded with model '{wanted}', which is not loaded \
         (loaded: {loaded}); start the server with --model {wanted}"
    )]
    ModelNotLoaded {
        /// The collection's name.
        collection: CollectionName,
        /// The collection's model.
        wanted: String,
        /// The names of the loaded models.
        loaded: String,
    },
    /// The collection's model is loaded with other weights.
    #[error(
        "collection '{collection}' was embedded with other weights of model '{model}' than those loaded; \
         their vectors can't be compared: load the old model or create a new collection"
    )]
    ModelChanged {
        /// The collection's name.
        collection: CollectionName,
        /// The collection's model.
        model: String,
    },
    /// No model is loaded.
    #[error("no model is configured; start the server with --model NAME")]
    NoModel,
    /// Two loaded models have this name.
    #[error("the model '{0}' is configured twice; configure each model once")]
    ModelTwice(String),
    /// The request names a model that is not loaded.
    #[error("there is no model '{}' in this server (loaded: {loaded})", excerpt(.wanted))]
    UnknownModel {
        /// The name that was requested.
        wanted: String,
        /// The names of the loaded models.
        loaded: String,
    },
    /// A field of the request is invalid; holds the complete message.
    #[error("{0}")]
    InvalidField(String),
    /// The document has nothing to be found by.
    #[error("a document needs a 'text', an 'image' or 'vectors'; this one has none of them")]
    EmptyDocument,
    /// A vector's length is zero, too close to zero, or not finite.
    #[error("the {kind} vector has no direction: {reason}")]
    NoDirection {
        /// `image`, `text` or `query`.
        kind: &'static str,
        /// The fault of its length.
        reason: String,
    },
    /// The weighted sum of the query's parts is zero.
    #[error("the parts of the query cancel each other out, so there is nothing to search for")]
    CancelledQuery,
    /// The filter could not be parsed.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A deletion's filter selects every document.
    #[error(
        "a deletion needs a 'filter' that selects documents, such as {{\"year\": 2024}}; to delete everything, delete the collection"
    )]
    EmptyFilter,
    /// A metadata value does not have the declared type of its field.
    #[error("{0}; send another value, or keep this one under another name")]
    TypeConflict(#[from] TypeConflict),
    /// The document would exceed the limit on distinct fields.
    #[error(transparent)]
    TooManyFields(#[from] TooManyFields),
    /// A vector does not have the collection's number of dimensions.
    #[error("the vector has {got} dimensions; collection '{collection}' has {wanted}")]
    WrongDimension {
        /// The collection's name.
        collection: CollectionName,
        /// The vector's dimensions.
        got: usize,
        /// The collection's dimensions.
        wanted: usize,
    },
    /// An image was given by its URL, and URL ingest is disabled.
    #[error(
        "this server does not fetch images from URLs unless it is started with --url-ingest; send the bytes as 'base64' or as a multipart file"
    )]
    UrlIngestDisabled,
    /// The settings do not allow this URL to be fetched.
    #[error("'{}' is not fetched: {reason}", excerpt(.url))]
    UrlRefused {
        /// The URL that was requested.
        url: String,
        /// Why it is refused.
        reason: String,
    },
    /// Fetching an allowed URL failed.
    #[error("'{}' could not be fetched: {reason}", excerpt(.url))]
    UrlNotFetched {
        /// The URL that was requested.
        url: String,
        /// Why the fetch failed.
        reason: String,
    },
    /// The HTTP client for URL ingest could not be created.
    #[error("could not set up URL ingest: {0}")]
    UrlClient(String),
    /// An input exceeds a limit on its size.
    #[error("{what} is larger than the limit of {limit} bytes ('{setting}')")]
    TooLarge {
        /// The input, with its article.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
        /// The setting that holds the limit.
        setting: &'static str,
    },
    /// No memory was freed for the request within this number of seconds.
    #[error(
        "the memory for requests ('ingest_memory_mib') was in use for {0} seconds; send the request again later"
    )]
    Overloaded(u64),
}

/// How far a collection's indexes have come while they are brought up to date.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct CatchingUp {
    /// Documents read until now.
    pub read: u64,
    /// Documents of the collection, not all of which may need indexing.
    pub documents: u64,
}

impl EngineError {
    /// The corrupt item and the reason, if this error means that a collection's documents are
    /// corrupt.
    pub(crate) fn damage(&self) -> Option<String> {
        match self {
            Self::Storage(StorageError::Damaged { what, reason }) => {
                Some(format!("{what}: {reason}"))
            }
            Self::LostVersion { key, .. } => {
                Some(format!("version {key} of a document is listed but missing"))
            }
            _ => None,
        }
    }
}
