//! The commands that are clients of a running server. They use only the REST API, so they work with
//! a server on any machine.

mod connection;
mod error;
pub mod ingest;
pub mod profile;
pub mod recall;
pub mod restore;
#[cfg(test)]
mod scripted_server;
pub mod search;
pub mod snapshot;
mod task;

pub use error::ClientError;

use clap::Args;
use std::io::{ErrorKind, Write};

/// The server that a command calls.
#[derive(Debug, Clone, Args)]
pub struct Address {
    /// Address of the server
    #[arg(
        long,
        env = "CLIPDB_SERVER",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    pub server: String,

    /// API key, if the server requires one
    #[arg(
        long,
        env = "CLIPDB_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub api_key: Option<String>,
}

/// The server and collection that a command uses.
#[derive(Debug, Clone, Args)]
pub struct ServerArguments {
    #[command(flatten)]
    pub address: Address,

    /// Collection to use
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub collection: String,
}

/// Writes to standard output. A reader that has closed the pipe (`| head`) is not an error.
fn print_out(text: &str) -> Result<(), ClientError> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(ClientError::Output { source: error })
        }
        _ => Ok(()),
    }
}
