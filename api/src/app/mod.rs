//! The composition: one HTTP server out of two protocols.
//!
//! `server` binds the address and names every route and the order of the middleware;
//! `shared_paths` serves the paths that both protocols have. Everything else here is middleware.

mod access;
mod base_path;
mod callers;
mod compression;
mod connections;
mod methods;
mod request_log;
mod server;
mod shared_paths;
mod statistics;

pub use server::bind;
pub use statistics::ProtocolStatistics;
