//! The command line's clients of a running server: `ingest`, `search`, `profile` and
//! `recall`. They speak only the REST contract, so they work against a server
//! on any machine and know nothing of its insides.

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

/// Which server a command speaks to.
#[derive(Debug, Clone, Args)]
pub struct Address {
    /// Address of the running server
    #[arg(
        long,
        env = "CLIPDB_SERVER",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    pub server: String,

    /// Key of a server that asks for one
    #[arg(
        long,
        env = "CLIPDB_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub api_key: Option<String>,
}

/// Which server and collection a command speaks to.
#[derive(Debug, Clone, Args)]
pub struct ServerArguments {
    #[command(flatten)]
    pub address: Address,

    /// Collection to work in
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub collection: String,
}

/// Writes to standard output. A reader that went away (`| head`) ends the
/// output, not the program with an error.
fn print_out(text: &str) -> Result<(), ClientError> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(ClientError::Output { source: error })
        }
        _ => Ok(()),
    }
}
