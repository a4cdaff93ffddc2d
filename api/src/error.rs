//! Everything that can go wrong between a request and its answer.
//!
//! `rest::problem` maps each variant to its stable code and HTTP status.

use clipdb_embed::EmbedError;
use clipdb_index::{FilterError, IndexError, TypeConflict};
use clipdb_storage::{CollectionName, DocumentId, StorageError};

use crate::engine::{CatchingUp, TooManyFields};
use crate::quoted::quoted;

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Embed(#[from] EmbedError),

    #[error(transparent)]
    Group(std::sync::Arc<ApiError>),
    #[error("the operating system gave no thread: {0}")]
    Thread(std::io::Error),
    #[error(
        "collection '{collection}' lists version {key} of a document and does not hold it; run 'clipdb serve' again and look at its log"
    )]
    LostVersion {
        collection: CollectionName,
        key: u64,
    },

    #[error("the TLS file {} can't be used: {reason}", path.display())]
    TlsFile {
        path: std::path::PathBuf,
        reason: String,
    },

    #[error("the metrics could not be written: {0}")]
    Metrics(String),

    #[error("the server is still starting: {0}; ask GET /ready until it answers 200")]
    Starting(String),
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
    #[error("the range lies behind the end of the {bytes} bytes that there are")]
    NoSuchRange { bytes: u64 },
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

    #[error("the request has no valid API key; send 'Authorization: Bearer KEY'")]
    Unauthorized,
    #[error("pages of '{}' may not change anything here; allow them with --cors-origin", quoted(.0))]
    ForeignOrigin(String),
    #[error(
        "this server has no API key and is not asked as '{}'; start it with --allowed-host to allow that \
         name, or with --api-key",
        quoted(.0)
    )]
    ForeignHost(String),
    #[error("there is nothing at {0}; GET /openapi.json lists the routes")]
    NoSuchRoute(String),
    #[error("{asked} is not allowed here; allowed are: {allowed}")]
    MethodNotAllowed { asked: String, allowed: String },
    #[error("the body is not JSON: {0}")]
    InvalidJson(String),
    #[error("{0}")]
    UnknownField(String),
    #[error("{0}")]
    InvalidField(String),
    #[error("{0}")]
    InvalidMultipart(String),
    #[error("a document needs a 'text', an 'image' or 'vectors'; this one has none of them")]
    EmptyDocument,
    #[error("a search needs one of 'text', 'image', 'vector', 'query' or 'keywords'")]
    EmptyQuery,
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
    #[error("the image is not valid base64: {0}")]
    InvalidBase64(String),
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
    #[error(
        "'{}' is a path, and this server reads none of its own file system; send the bytes as 'blob'",
        quoted(.0)
    )]
    PathRefused(String),
    #[error("document '{}': {source}", quoted(.id))]
    InDocument { id: String, source: Box<ApiError> },
    #[error("{failed} of {total} documents were not stored, the others were; the first: {first}")]
    NotAllStored {
        failed: usize,
        total: usize,
        first: Box<ApiError>,
    },
    #[error("'{endpoint}' is not served here; {instead}")]
    NoSuchCall {
        endpoint: String,
        instead: &'static str,
    },
    #[error("the multipart request has no part named '{}'", quoted(.0))]
    MissingPart(String),
    #[error("{what} is larger than the limit of {limit} bytes ('{setting}')")]
    TooLarge {
        what: &'static str,
        limit: u64,
        setting: &'static str,
    },
    #[error("'{}' is not a media type this route takes; it takes {}", quoted(.0), .1)]
    UnsupportedMediaType(String, &'static str),
    #[error("the client ended the request body early: {0}")]
    BrokenBody(String),
    #[error("the WebSocket was closed: {0}")]
    BrokenSocket(String),
    #[error("the request body came too slowly: {0}")]
    SlowBody(String),
    #[error(
        "the body's Content-Encoding '{}' is not known here; send it as gzip, br, zstd, deflate or as it is",
        quoted(.0)
    )]
    UnknownEncoding(String),
    #[error("the body is not {0}, as its Content-Encoding says: {1}")]
    BrokenEncoding(&'static str, String),
    #[error("the body inflates to more than {0} times its size; send it uncompressed or in pieces")]
    InflatesTooMuch(u64),
    #[error("the form has more than {0} parts; send it in several")]
    TooManyParts(usize),
    #[error(
        "nothing in the part 'search' names the form's part '{}'; name it as in {{\"image\": {{\"file\": NAME}}}}, or leave it out",
        quoted(.0)
    )]
    UnnamedPart(String),
    #[error(
        "memory for requests was used up for {0} seconds ('ingest_memory_mib'); send the request again later"
    )]
    Overloaded(u64),
}

impl ApiError {
    /// The same, told of which document of several.
    pub fn in_document(self, id: &str) -> Self {
        Self::InDocument {
            id: id.to_owned(),
            source: Box::new(self),
        }
    }
}
