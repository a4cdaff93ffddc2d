//! Why the server cannot start.

use std::net::SocketAddr;
use std::process::ExitCode;

use clipdb_api::engine::{EmbedError, EngineError};

use crate::configuration::ConfigurationError;
use crate::limits::LimitError;
use crate::telemetry::TelemetryError;

/// Exit code for a startup that cannot succeed without another configuration or model.
const INVALID_CONFIGURATION: u8 = 2;

#[derive(Debug, thiserror::Error)]
pub(super) enum StartupError {
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error(transparent)]
    Limits(#[from] LimitError),
    #[error("cannot listen on {address} ('{key}'): {source}")]
    Listen {
        key: &'static str,
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error(transparent)]
    Model(#[from] EmbedError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("cannot {action}: {source}")]
    System {
        action: &'static str,
        source: std::io::Error,
    },
    #[error("cannot set up the metrics: {0}")]
    Metrics(String),
    #[error("the loader thread ended unexpectedly; this is a bug, please report the lines above")]
    LoaderGone,
}

impl StartupError {
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_)
            | Self::Telemetry(_)
            | Self::Limits(_)
            | Self::Model(EmbedError::ModelUnavailable { .. }) => {
                ExitCode::from(INVALID_CONFIGURATION)
            }
            _ => ExitCode::FAILURE,
        }
    }
}
