//! What the end-to-end tests and the benchmarks share: the real binary started on
//! a folder of its own, a client of its REST API, and documents to feed it with.
//!
//! Everything here speaks only the outside of clipdb: its command line, HTTP and
//! signals. Three types to know: [`Server`], one running binary; [`Client`], which
//! speaks to it; [`Campaign`], writers that are killed with their server and
//! remember what was acknowledged.
//!
//! A step that fails panics with what was asked and what came: that ends a test
//! where it is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a harness: failing is how it reports"
)]

mod campaign;
mod client;
pub mod corpus;
pub mod machine;
pub mod pictures;
mod python;
mod server;
pub mod table;

pub use campaign::{Campaign, Loss, wait_until};
pub use client::{Answer, Client, Collection, escaped, send};
pub use python::Python;
pub use server::{Finished, Server, Setup, Stopped};
