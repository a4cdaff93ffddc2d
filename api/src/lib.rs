//! clipdb's engine and its REST API.
//!
//! [`engine`] is what a document and a query go through: the only code that
//! knows storage, index and embed at once. [`rest`] is HTTP over it: it parses,
//! calls one engine function, and maps the answer. [`clip_as_service`] are the doors
//! that CLIP-as-service's clients speak to. [`error`] holds the one error enum;
//! `rest::problem` the one table from it to code and status.
//!
//! A reader needs three types: [`Engine`](engine::Engine), the open database;
//! [`Draft`](engine::Draft), a document on its way in; and
//! [`Query`](engine::Query), a search on its way in.

pub mod clip_as_service;
mod data_uri;
pub mod engine;
pub mod error;
mod memory;
pub mod pace;
mod quoted;
pub mod rest;
mod tls;
mod trace_context;
mod url_ingest;

pub use clipdb_index as index;
pub use clipdb_storage::{CheckReport, CollectionName, DocumentId, Finding, FindingKind};
pub use engine::{Engine, EngineSettings};
pub use error::ApiError;
pub use tls::TlsIdentity;
pub use url_ingest::UrlIngestSettings;
