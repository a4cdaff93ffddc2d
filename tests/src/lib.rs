//! The harness of the end-to-end tests and the benchmarks: the real binary on a folder of its own,
//! a client of its REST API, and documents to write.
//!
//! The harness uses only the public interfaces of clipdb: command line, HTTP and signals. The main
//! types are [`Server`], one running binary, [`SharedServer`], one for all tests of a file,
//! [`Client`], which sends requests, [`Torture`], which kills the server during writes and compares
//! it with a journal of acknowledged writes, and [`Soak`], which keeps it busy.
//!
//! A step that fails panics with the request and the response.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a harness: a failure is a panic"
)]

pub mod baseline;
mod client;
pub mod corpus;
mod disk;
pub mod folder;
pub mod machine;
pub mod pictures;
mod python;
mod server;
mod soak;
pub mod table;
mod torture;
pub mod trec;
mod wait;

pub use client::{Answer, Client, Collection, escaped, send};
pub use clipdb_skip::report_skip;
pub use disk::SmallDisk;
pub use python::Python;
pub use server::{Finished, Server, Setup, SharedServer, Starting, Stopped, binary};
pub use soak::{Soak, SoakReport, quantile};
pub use torture::{Failure, Report, Torture};
pub use wait::wait_until;
