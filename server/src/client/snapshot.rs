//! `clipdb snapshot`: takes a consistent snapshot of a collection while it is served.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::connection::Connection;
use super::{Address, ClientError, ServerArguments, print_out, task};

const CHUNK: usize = 256 << 10;

#[derive(Debug, Args)]
pub struct SnapshotArguments {
    /// Collection to take a snapshot of
    name: String,

    /// Download the snapshot to this new file and remove it from the server
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Keep the snapshot on the server too
    #[arg(long, requires = "output")]
    keep: bool,

    #[command(flatten)]
    address: Address,
}

pub fn run(arguments: &SnapshotArguments) -> Result<ExitCode, ClientError> {
    let connection = Connection::open(&ServerArguments {
        address: arguments.address.clone(),
        collection: arguments.name.clone(),
    })?;
    // Created first: if the file cannot be written, no snapshot is taken.
    let target = arguments.output.as_deref().map(create).transpose()?;
    let taken = take(&connection, target.zip(arguments.output.as_deref()));
    if let (Err(_), Some(path)) = (&taken, &arguments.output) {
        // A partial file would prevent the next attempt. The error itself is reported.
        let _ = std::fs::remove_file(path);
    }
    let info = taken?;
    let text = |field: &str| info[field].to_string().trim_matches('"').to_owned();
    let place = match &arguments.output {
        Some(path) => {
            if !arguments.keep {
                connection.remove_snapshot(&text("id"))?;
            }
            format!("in {}", path.display())
        }
        None => format!("on the server as {}", text("id")),
    };
    print_out(&format!(
        "{} documents and {} images of collection '{}' are {place} ({} bytes, sha256 {})\n",
        text("documents"),
        text("images"),
        arguments.name,
        text("bytes"),
        text("sha256"),
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Takes a snapshot, downloads it if there is a target, and returns its description.
fn take(connection: &Connection, target: Option<(File, &Path)>) -> Result<Value, ClientError> {
    let task = connection.start_snapshot()?;
    let info = task::wait_for(connection, &task, "copying")?;
    if let Some((mut file, path)) = target {
        let id = info["id"].as_str().unwrap_or_default();
        download(connection, id, &mut file, path)?;
    }
    Ok(info)
}

fn create(path: &Path) -> Result<File, ClientError> {
    File::create_new(path).map_err(|source| ClientError::Unwritable {
        path: path.to_owned(),
        source,
    })
}

/// Downloads the archive. Only its length is checked here; a restore verifies its checksums.
fn download(
    connection: &Connection,
    id: &str,
    file: &mut File,
    path: &Path,
) -> Result<(), ClientError> {
    let mut archive = connection.download_snapshot(id)?;
    let unwritable = |source| ClientError::Unwritable {
        path: path.to_owned(),
        source,
    };
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = archive
            .read(&mut chunk)
            .map_err(|error| ClientError::Broken {
                server: connection.server(),
                detail: error.to_string(),
            })?;
        if read == 0 {
            return file.sync_all().map_err(unwritable);
        }
        file.write_all(&chunk[..read]).map_err(unwritable)?;
    }
}
