//! Errors of a configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the configuration file {} is invalid: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("the setting '{key}' is invalid: {reason}")]
    Setting { key: &'static str, reason: String },
    #[error(
        "'{0}' accepts non-local clients and no API key is set: pass --api-key-file FILE (or --api-key, CLIPDB_API_KEY), \
         or --no-auth to serve everyone"
    )]
    Open(SocketAddr),
}

pub(super) fn invalid_setting(key: &'static str, reason: impl ToString) -> ConfigurationError {
    ConfigurationError::Setting {
        key,
        reason: reason.to_string(),
    }
}
