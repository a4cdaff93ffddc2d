//! Every failure between a request and its response.
//!
//! [`problem`](super::problem) maps each variant, and each of the engine's, to its stable code and
//! HTTP status.

use clipdb_engine::{EmbedError, EngineError, IndexError, InvalidValue, StorageError, excerpt};

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error(transparent)]
    Engine(EngineError),

    #[error("the TLS file {} can't be used: {reason}", path.display())]
    TlsFile {
        path: std::path::PathBuf,
        reason: String,
    },
    #[error("the server is still starting: {0}; poll GET /ready until it returns 200")]
    Starting(String),
    #[error("the range starts after the end of the content, which has {bytes} bytes")]
    NoSuchRange { bytes: u64 },
    #[error("the request has no valid API key; send 'Authorization: Bearer KEY'")]
    Unauthorized,
    #[error("pages of '{}' may not send this request; allow them with --cors-origin", excerpt(.0))]
    ForeignOrigin(String),
    #[error(
        "this server has no API key and does not accept requests for the host '{}'; allow the host with \
         --allowed-host, or set --api-key",
        excerpt(.0)
    )]
    ForeignHost(String),
    #[error("there is no route {0}; GET /openapi.json lists the routes")]
    NoSuchRoute(String),
    #[error("{asked} is not allowed; allowed methods: {allowed}")]
    MethodNotAllowed { asked: String, allowed: String },
    #[error("the body is not JSON: {0}")]
    InvalidJson(String),
    #[error("{0}")]
    UnknownField(String),
    #[error("{0}")]
    InvalidField(String),
    #[error("{0}")]
    InvalidMultipart(String),
    #[error("a search needs one of 'text', 'image', 'vector', 'query' or 'keywords'")]
    EmptyQuery,
    #[error("the image is not valid base64: {0}")]
    InvalidBase64(String),
    #[error(
        "'{}' is a path, and the server does not read its file system for clients; send the bytes as 'blob'",
        excerpt(.0)
    )]
    PathRefused(String),
    #[error("document '{}': {source}", excerpt(.id))]
    InDocument { id: String, source: Box<ApiError> },
    #[error("{failed} of {total} documents were not stored; the first failure: {first}")]
    NotAllStored {
        failed: usize,
        total: usize,
        first: Box<ApiError>,
    },
    #[error("'{endpoint}' is not supported; {instead}")]
    NoSuchCall {
        endpoint: String,
        instead: &'static str,
    },
    #[error("the multipart request has no part named '{}'", excerpt(.0))]
    MissingPart(String),
    #[error("this route does not accept the media type '{}'; it accepts {}", excerpt(.0), .1)]
    UnsupportedMediaType(String, &'static str),
    #[error("the request body ended early: {0}")]
    BrokenBody(String),
    #[error("the WebSocket was closed: {0}")]
    BrokenSocket(String),
    #[error("the client sent the request body too slowly: {0}")]
    SlowBody(String),
    #[error(
        "the Content-Encoding '{}' is not supported; use gzip, br, zstd, deflate or none",
        excerpt(.0)
    )]
    UnknownEncoding(String),
    #[error("the body is not valid {0}, which its Content-Encoding names: {1}")]
    BrokenEncoding(&'static str, String),
    #[error(
        "the body decompresses to more than {0} times its size; send it uncompressed or in parts"
    )]
    InflatesTooMuch(u64),
    #[error("the form has more than {0} parts; split it into several requests")]
    TooManyParts(usize),
    #[error(
        "the part 'search' does not use the form's part '{}'; refer to it as in {{\"image\": {{\"file\": NAME}}}}, or remove it",
        excerpt(.0)
    )]
    UnnamedPart(String),
}

impl ApiError {
    /// The same error, with the id of the document that caused it.
    pub fn in_document(self, id: &str) -> Self {
        Self::InDocument {
            id: id.to_owned(),
            source: Box::new(self),
        }
    }

    pub(crate) fn body_too_large(limit: usize) -> Self {
        Self::too_large("the request body", limit, "max_body_bytes")
    }

    /// A body, or a part of one, that is larger than `setting` allows.
    pub(crate) fn too_large(what: &'static str, limit: usize, setting: &'static str) -> Self {
        Self::Engine(EngineError::TooLarge {
            what,
            limit: limit as u64,
            setting,
        })
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            // The engine returns a refused document's error unchanged.
            EngineError::Refused(error) => match error.downcast::<Self>() {
                Ok(error) => *error,
                Err(error) => Self::Engine(EngineError::Refused(error)),
            },
            error => Self::Engine(error),
        }
    }
}

/// Stands in the engine for a document that could not be parsed.
impl From<ApiError> for EngineError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Engine(error) => error,
            error => Self::Refused(Box::new(error)),
        }
    }
}

impl From<IndexError> for ApiError {
    fn from(error: IndexError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<InvalidValue> for ApiError {
    fn from(error: InvalidValue) -> Self {
        StorageError::from(error).into()
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<EmbedError> for ApiError {
    fn from(error: EmbedError) -> Self {
        Self::Engine(error.into())
    }
}
