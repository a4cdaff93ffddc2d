//! The toolkit of both protocols: bodies, errors, settings and headers. It knows no route.

pub(crate) mod base_path;
pub(crate) mod body;
pub(crate) mod body_reader;
pub(crate) mod callers;
mod content_encoding;
pub(crate) mod data_uri;
pub(crate) mod error;
pub(crate) mod exact_json;
mod json_error;
pub(crate) mod pace;
pub(crate) mod peer;
pub(crate) mod problem;
pub(crate) mod query_string;
pub(crate) mod resource;
pub(crate) mod state;
pub(crate) mod strict_json;
pub(crate) mod tls;
pub(crate) mod trace_context;
