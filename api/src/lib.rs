//! clipdb's protocols over [`clipdb_engine`].
//!
//! [`app`] composes one HTTP server out of `rest`, the REST API with the page, and
//! [`clip_as_service`], which CLIP-as-service's clients speak. Neither knows the other; both stand
//! on `http`, the toolkit that knows no route.

pub mod app;
pub mod clip_as_service;
mod http;
mod rest;

/// The engine that the protocols serve, for the program that opens it.
pub use clipdb_engine as engine;
pub use http::base_path::BasePath;
pub use http::callers::Hosts;
pub use http::error::ApiError;
pub use http::pace::Pace;
pub use http::state::{ApiKey, ClipAsServiceSettings, HttpSettings, HttpState};
pub use http::tls::TlsIdentity;
