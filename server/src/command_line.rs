//! The command line: commands and where their arguments are declared.

use clap::{Parser, Subcommand};

use crate::check::CheckArguments;
use crate::client::{ingest, profile, recall, restore, search, snapshot};
use crate::configuration::ServeArguments;
use crate::models::ModelsArguments;

#[derive(Parser)]
#[command(name = "clipdb", version, about, long_about = None, max_term_width = 100)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Start the server; it is ready when GET /ready answers 200
    Serve(Box<ServeArguments>),
    /// Send files, folders, NDJSON or a text file's lines to a running server
    Ingest(ingest::IngestArguments),
    /// Search a running server by words or by a picture
    Search(search::SearchArguments),
    /// Show where the time of a search goes
    Profile(profile::ProfileArguments),
    /// Measure how much of what an exact search finds a collection's index finds
    Recall(recall::RecallArguments),
    /// List the models known, cached and bundled; pull or check one
    Models(ModelsArguments),
    /// Take a consistent copy of a collection of a running server
    Snapshot(snapshot::SnapshotArguments),
    /// Restore a snapshot's file as a collection of a running server
    Restore(restore::RestoreArguments),
    /// Verify a data folder that no server uses, and repair what can be
    Check(CheckArguments),
}
