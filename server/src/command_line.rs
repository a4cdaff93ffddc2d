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
    /// Start the server; it is ready once GET /ready returns 200
    Serve(Box<ServeArguments>),
    /// Ingest images, folders, NDJSON and the lines of text files into a running server
    Ingest(ingest::IngestArguments),
    /// Search a running server by text or image
    Search(search::SearchArguments),
    /// Profile searches: show the time spent in each stage
    Profile(profile::ProfileArguments),
    /// Measure the index's recall against exact search
    Recall(recall::RecallArguments),
    /// List known, cached and bundled models; pull or check one
    Models(ModelsArguments),
    /// Take a snapshot of a collection of a running server
    Snapshot(snapshot::SnapshotArguments),
    /// Restore a snapshot file as a collection of a running server
    Restore(restore::RestoreArguments),
    /// Verify a data folder whose server is stopped, and repair it
    Check(CheckArguments),
}
