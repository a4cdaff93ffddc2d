//! Startup and shutdown. The listeners open first and answer 503 until the models are loaded and
//! the collections recovered; a shutdown completes the requests that were accepted.

mod error;
mod listeners;
mod loader;
mod signals;

use std::process::ExitCode;
use std::sync::Arc;

use clipdb_api::HttpState;
use clipdb_api::engine::{Engine, Statistics};

use crate::configuration::{Configuration, ServeArguments};
use crate::limits::{self, Connections};
use crate::telemetry::Telemetry;
use error::StartupError;
use listeners::Listeners;
use loader::Loader;
use signals::StopSignals;

pub fn serve(arguments: Box<ServeArguments>) -> ExitCode {
    match arguments
        .resolve()
        .map_err(StartupError::from)
        .and_then(run)
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clipdb: {error}");
            error.exit_code()
        }
    }
}

fn run(configuration: Configuration) -> Result<(), StartupError> {
    let connections = limits::prepare(configuration.workers)?;
    actix_web::rt::System::new().block_on(async {
        let telemetry = Telemetry::start(&configuration.log, configuration.otlp.as_deref())?;
        let outcome = serve_until_stopped(configuration, connections).await;
        let _ = tokio::task::spawn_blocking(|| telemetry.finish()).await;
        outcome
    })
}

async fn serve_until_stopped(
    configuration: Configuration,
    connections: Connections,
) -> Result<(), StartupError> {
    let statistics = Statistics::new().map_err(|error| StartupError::Metrics(error.to_string()))?;
    let statistics = Arc::new(statistics);
    let state = Arc::new(HttpState::new(
        configuration.rest.clone(),
        Arc::clone(&statistics),
    ));
    let listeners = Listeners::bind(&state, &configuration, connections)?;
    let mut stop = StopSignals::new()?;
    let loader = Loader::start(
        configuration,
        listeners.addresses,
        Arc::clone(&state),
        statistics,
    )?;
    let engine = tokio::select! {
        loaded = loader.engine() => loaded.map(Some),
        () = stop.wait() => Ok(None),
    };
    match engine {
        Ok(Some(engine)) => {
            stop.wait().await;
            shut_down(&state, listeners, engine, stop).await;
            Ok(())
        }
        Ok(None) => {
            listeners.close().await;
            Ok(())
        }
        Err(error) => {
            listeners.close().await;
            Err(error)
        }
    }
}

/// Completes the accepted requests and closes the engine, unless another signal comes first.
async fn shut_down(
    state: &HttpState,
    listeners: Listeners,
    engine: Arc<Engine>,
    mut stop: StopSignals,
) {
    tracing::info!("stopping: completing accepted requests (a second signal exits immediately)");
    state.stop();
    let finished = async {
        listeners.drain().await;
        let _ = tokio::task::spawn_blocking(move || engine.close()).await;
    };
    tokio::select! {
        () = finished => tracing::info!("stopped"),
        () = stop.wait() => tracing::warn!("ended by a second signal; acknowledged writes are safe"),
    }
}
