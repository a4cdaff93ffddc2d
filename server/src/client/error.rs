//! What can go wrong between the command line and a server, in words that say
//! what to try next.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no server answers at {server}. Start one with 'clipdb serve', or name another with --server URL"
    )]
    NotRunning { server: String },

    #[error("the server at {server} is still not ready after {seconds} s: {detail}")]
    NotReady {
        server: String,
        seconds: u64,
        detail: String,
    },

    #[error("the connection to {server} failed: {detail}. The server's log may say more")]
    Broken { server: String, detail: String },

    #[error("what answers at {server} does not speak like clipdb ({detail}). Check --server")]
    NotClipdb { server: String, detail: String },

    #[error(
        "the server at {server} refused the key: {detail}. Give the right one with --api-key or CLIPDB_API_KEY"
    )]
    Unauthorized { server: String, detail: String },

    #[error("the server answered {status} {code}: {detail}")]
    Refused {
        status: u16,
        code: String,
        detail: String,
    },

    #[error(
        "the server has no collection '{collection}'. 'clipdb ingest PATH --collection {collection}' makes it"
    )]
    NoCollection { collection: String },

    #[error(
        "'{server}' is not the address of a server: give one like http://127.0.0.1:8080 with --server"
    )]
    Address { server: String },

    #[error("the key given with --api-key cannot be sent: it holds characters no header may hold")]
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

    #[error(
        "the operating system gave no thread to send from: {source}. Try a smaller --in-flight"
    )]
    Thread { source: std::io::Error },

    #[error(
        "with --id-prefix only one PATH can be given: files of the same name in two would have the same id"
    )]
    OnePath,

    #[error("cannot write the answer: {source}")]
    Output { source: std::io::Error },
}

impl ClientError {
    /// Whether the server judged this very request, so that another one, such
    /// as a smaller one, may still go through.
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
