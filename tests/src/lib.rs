//! What the end-to-end tests and the benchmarks share: the real binary started on
//! a folder of its own, a client of its REST API, and documents to feed it with.
//!
//! Everything here speaks only the outside of clipdb: its command line, HTTP and
//! signals. Three types to know: [`Server`], one running binary; [`Client`], which
//! speaks to it; [`Torture`], writers that are killed with their server and a journal
//! of what was acknowledged.
//!
//! A step that fails panics with what was asked and what came: that ends a test
//! where it is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a harness: failing is how it reports"
)]

mod client;
pub mod corpus;
mod crowd;
mod disk;
pub mod folder;
pub mod machine;
pub mod pictures;
mod python;
mod server;
pub mod table;
mod torture;
mod wait;

pub use clipdb_skip::report_skip;
pub use client::{Answer, Client, Collection, escaped, send};
pub use crowd::{Crowd, CrowdReport, quantile};
pub use disk::SmallDisk;
pub use python::Python;
pub use server::{Finished, Server, Setup, Starting, Stopped, binary};
pub use torture::{Failure, Report, Torture};
pub use wait::wait_until;
