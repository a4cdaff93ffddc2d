//! Start and stop. The door opens first and answers 503 until the models are
//! loaded and the collections recovered; a stop finishes what was accepted.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clipdb_api::HttpState;
use clipdb_api::app::{self, ProtocolStatistics};
use clipdb_api::clip_as_service::grpc;
use clipdb_api::engine::{
    EmbedError, Encoder, Engine, EngineError, ModelSource, Models, Statistics,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::banner::{self, Addresses};
use crate::configuration::{Configuration, ConfigurationError, ServeArguments};
use crate::limits::{self, LimitError};
use crate::telemetry::{Telemetry, TelemetryError};

/// Exit code for a start that can't succeed without another configuration or model.
const NOT_AS_CONFIGURED: u8 = 2;

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error(transparent)]
    Limits(#[from] LimitError),
    #[error("can't listen on {address} ('{key}'): {source}")]
    Listen {
        key: &'static str,
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error(transparent)]
    Model(#[from] EmbedError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the operating system refused {what}: {source}")]
    System {
        what: &'static str,
        source: std::io::Error,
    },
    #[error("the metrics can't be set up: {0}")]
    Metrics(String),
    #[error("the loading thread ended early; this is a defect, please report the lines above")]
    LoaderGone,
}

impl StartError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_)
            | Self::Telemetry(_)
            | Self::Limits(_)
            | Self::Model(EmbedError::ModelUnavailable { .. }) => ExitCode::from(NOT_AS_CONFIGURED),
            _ => ExitCode::FAILURE,
        }
    }
}

pub fn serve(arguments: Box<ServeArguments>) -> ExitCode {
    match arguments.resolve().map_err(StartError::from).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clipdb: {error}");
            error.exit_code()
        }
    }
}

fn run(configuration: Configuration) -> Result<(), StartError> {
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
    connections: limits::Connections,
) -> Result<(), StartError> {
    let statistics =
        Arc::new(Statistics::new().map_err(|error| StartError::Metrics(error.to_string()))?);
    let protocols = ProtocolStatistics::new(statistics.registry())
        .map_err(|error| StartError::Metrics(error.to_string()))?;
    let state = Arc::new(HttpState::new(
        configuration.rest.clone(),
        Arc::clone(&statistics),
    ));
    let (server, address) = app::bind(
        Arc::clone(&state),
        &protocols,
        configuration.listen,
        configuration.tls.as_ref(),
        configuration.workers,
        connections.http,
    )
    .map_err(|source| StartError::Listen {
        key: "listen",
        address: configuration.listen,
        source,
    })?;
    let grpc = configuration
        .grpc
        .map(|address| {
            let tls = configuration.tls.as_ref();
            grpc::bind(
                Arc::clone(&state),
                protocols.calls(),
                address,
                tls,
                configuration.workers,
                connections.grpc,
            )
            .map_err(|source| StartError::Listen {
                key: "grpc",
                address,
                source,
            })
        })
        .transpose()?;
    let addresses = Addresses {
        main: address,
        grpc: grpc.as_ref().map(|grpc| grpc.address),
    };
    let door = server.handle();
    let serving = actix_web::rt::spawn(server);
    let mut stop = StopSignals::new()?;

    let (loaded, loading) = oneshot::channel();
    let loader_state = Arc::clone(&state);
    let loader = std::thread::Builder::new()
        .name("loader".to_owned())
        .spawn(move || {
            let outcome =
                open_engine(&configuration, &loader_state, statistics).inspect(|engine| {
                    banner::print(engine, &configuration, addresses);
                    loader_state.opened(Arc::clone(engine));
                });
            // The receiver is gone when a stop came first.
            let _ = loaded.send(outcome);
        })
        .map_err(|source| StartError::System {
            what: "a thread",
            source,
        })?;

    let outcome = tokio::select! {
        outcome = loading => outcome.unwrap_or(Err(StartError::LoaderGone)),
        () = stop.wait() => {
            door.stop(false).await;
            return Ok(());
        }
    };
    let engine = match outcome {
        Ok(engine) => engine,
        Err(error) => {
            door.stop(false).await;
            return Err(error);
        }
    };
    // It sent its outcome, so it is at its end.
    let _ = loader.join();

    stop.wait().await;
    tracing::info!("stopping: finishing what was accepted (a second signal ends at once)");
    state.stop();
    let finished = async {
        door.stop(true).await;
        let _ = serving.await;
        if let Some(grpc) = grpc {
            grpc.ended().await;
        }
        let _ = tokio::task::spawn_blocking(move || engine.close()).await;
    };
    tokio::select! {
        () = finished => tracing::info!("stopped"),
        () = stop.wait() => tracing::warn!("ended by a second signal; acknowledged writes are safe"),
    }
    Ok(())
}

/// Loads the models, then opens the data with them. Blocks.
fn open_engine(
    configuration: &Configuration,
    state: &HttpState,
    statistics: Arc<Statistics>,
) -> Result<Arc<Engine>, StartError> {
    state.starting("the model is being loaded");
    let mut encoders = Vec::with_capacity(configuration.models.len());
    for model in &configuration.models {
        let source = ModelSource::resolve(&model.name, &configuration.model_cache)?;
        encoders.push(Encoder::load(&source, &model.encoder)?);
    }
    clipdb_api::engine::set_search_threads(configuration.search_threads);
    clipdb_api::engine::set_build_threads(configuration.index_threads);
    state.starting("the collections are being recovered");
    let models = Models::new(encoders).map_err(StartError::Engine)?;
    let engine = Engine::open(configuration.engine.clone(), models, statistics)?;
    let engine = Arc::new(engine);
    engine.watch_catching_up()?;
    Ok(engine)
}

struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn new() -> Result<Self, StartError> {
        let listen = |kind| {
            signal(kind).map_err(|source| StartError::System {
                what: "a signal handler",
                source,
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
