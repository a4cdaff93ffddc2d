//! Errors of the client commands, each with a hint what to try next.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no server is running at {server}. Start one with 'clipdb serve', or pass another address with --server URL"
    )]
    NotRunning { server: String },

    #[error("the server at {server} is still not ready after {seconds} s: {detail}")]
    NotReady {
        server: String,
        seconds: u64,
        detail: String,
    },

    #[error("the connection to {server} failed: {detail}. See the server's log for details")]
    Broken { server: String, detail: String },

    #[error("the server at {server} is not clipdb ({detail}). Check --server")]
    NotClipdb { server: String, detail: String },

    #[error(
        "the server at {server} rejected the API key: {detail}. Pass the right one with --api-key or CLIPDB_API_KEY"
    )]
    Unauthorized { server: String, detail: String },

    #[error("the server returned {status} {code}: {detail}")]
    Refused {
        status: u16,
        code: String,
        detail: String,
    },

    #[error(
        "collection '{collection}' does not exist. Create it with 'clipdb ingest PATH --collection {collection}'"
    )]
    NoCollection { collection: String },

    #[error(
        "'{server}' is not a server address: pass one such as http://127.0.0.1:8080 with --server"
    )]
    Address { server: String },

    #[error(
        "the key passed with --api-key contains characters that are not allowed in an HTTP header"
    )]
    Key,

    #[error("cannot read '{}': {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },

    #[error("cannot write '{}': {source}", path.display())]
    Unwritable {
        path: PathBuf,
        source: std::io::Error,
    },

    #[error("cannot set up the HTTP client: {source}")]
    Setup { source: reqwest::Error },

    #[error("could not spawn a thread: {source}. Try a smaller --in-flight")]
    Thread { source: std::io::Error },

    #[error(
        "--id-prefix allows only one PATH: files of the same name in two folders would get the same id"
    )]
    OnePath,

    #[error("cannot write to standard output: {source}")]
    Output { source: std::io::Error },
}

impl ClientError {
    /// Whether the server rejected the content of this request, so that another request, such as a
    /// smaller one, may succeed.
    pub fn concerns_request(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 400 | 413 | 415 | 422,
                ..
            }
        )
    }
}
