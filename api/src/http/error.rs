//! Everything that can go wrong between a request and its answer.
//!
//! [`problem`](super::problem) maps each variant, and each of the engine's, to its stable code and
//! HTTP status.

use clipdb_engine::{EmbedError, EngineError, IndexError, StorageError, quoted};

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error(transparent)]
    Engine(EngineError),

    #[error("the TLS file {} can't be used: {reason}", path.display())]
    TlsFile {
        path: std::path::PathBuf,
        reason: String,
    },
    #[error("the server is still starting: {0}; ask GET /ready until it answers 200")]
    Starting(String),
    #[error("the range lies behind the end of the {bytes} bytes that there are")]
    NoSuchRange { bytes: u64 },
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
    #[error("a search needs one of 'text', 'image', 'vector', 'query' or 'keywords'")]
    EmptyQuery,
    #[error("the image is not valid base64: {0}")]
    InvalidBase64(String),
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
}

impl ApiError {
    /// The same error, with the document of a request that it is about.
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
            // A document's error comes back through the engine as it went in.
            EngineError::Refused(error) => match error.downcast::<Self>() {
                Ok(error) => *error,
                Err(error) => Self::Engine(EngineError::Refused(error)),
            },
            error => Self::Engine(error),
        }
    }
}

/// What the engine is given in place of a document that could not be read.
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
