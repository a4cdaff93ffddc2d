//! `clipdb restore`: restores a snapshot archive as a collection of a running server.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::connection::Connection;
use super::{Address, ClientError, ServerArguments, print_out, task};

#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// Snapshot archive
    file: PathBuf,

    /// Name of the collection; an existing collection of the same definition is replaced
    #[arg(long)]
    name: String,

    #[command(flatten)]
    address: Address,
}

pub fn run(arguments: &RestoreArguments) -> Result<ExitCode, ClientError> {
    let archive = File::open(&arguments.file).map_err(|source| ClientError::Unreadable {
        path: arguments.file.clone(),
        source,
    })?;
    let connection = Connection::open(&ServerArguments {
        address: arguments.address.clone(),
        collection: arguments.name.clone(),
    })?;
    let task = connection.start_restore(archive)?;
    let summary = task::wait_for(&connection, &task, "restoring")?;
    print_out(&format!(
        "collection '{}' has {} documents\n",
        arguments.name, summary["documents"]
    ))?;
    Ok(ExitCode::SUCCESS)
}
