//! The doors that CLIP-as-service's clients speak to, unmodified: gRPC on an address of
//! its own, HTTP and WebSocket on the main one.
//!
//! [`message`] is what is said, [`call`] does what is asked, one request in and one
//! response out, whichever door it came by; [`grpc`], [`http`] and [`websocket`] only
//! carry it. Where a client depends on an oddity of CLIP-as-service the code that serves
//! it says so; where clipdb differs on purpose, too:
//!
//! - the server opens no path of its own file system and fetches no URI ([`content`]);
//! - `/rank/NAME` ranks, and a model's name is looked at ([`endpoint`]);
//! - `/index` and `/search` are a collection of the database, the one that REST sees;
//!   what `/index` has answered, the next `/search` finds.

mod connections;
mod content;
mod encode;
mod endpoint;
mod exchange;
mod executor;
mod filter;
mod frames;
pub mod grpc;
mod grpc_body;
pub(crate) mod http;
mod index;
mod message;
mod meter;
pub mod metrics;
mod parameters;
mod paths;
mod rank;
mod search;
pub(crate) mod websocket;

pub use executor::Executor;
pub use metrics::CallStatistics;
