//! `clipdb restore`: an archive of `clipdb snapshot` as a collection of a running server.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::connection::Connection;
use super::{Address, ClientError, ServerArguments, print_out, task};

#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// The archive
    file: PathBuf,

    /// The collection to restore it as; one that is there, of the same definition, is replaced
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
    let begun = connection.begin_restore(archive)?;
    let summary = task::follow(&connection, &begun, "restoring")?;
    print_out(&format!(
        "collection '{}' has {} documents\n",
        arguments.name, summary["documents"]
    ))?;
    Ok(ExitCode::SUCCESS)
}
