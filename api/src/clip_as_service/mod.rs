//! The protocol of CLIP-as-service's clients, which work unmodified: gRPC on an address of its
//! own, HTTP and WebSocket on the main one.
//!
//! `message` defines the messages. `executor` executes one request and returns one response;
//! [`grpc`], `http` and `websocket` only transport them. Comments name the oddities of
//! CLIP-as-service that clients depend on. clipdb differs from it on purpose in three ways:
//!
//! - the server reads no path of its own file system and fetches no URI (`content`);
//! - `/rank/NAME` ranks, and the model's name is checked (`endpoint`);
//! - `/index` and `/search` use a collection of the database, which REST sees too; once `/index`
//!   has responded, the next `/search` finds its documents.

mod connections;
mod content;
mod encode;
mod endpoint;
mod exchange;
mod executor;
mod filter;
mod frames;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
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
