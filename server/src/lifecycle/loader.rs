//! Loads the models and opens the data folder, on a thread of its own while the listeners already
//! answer 503.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;

use clipdb_api::HttpState;
use clipdb_api::engine::{Encoder, Engine, ModelSource, Models, Statistics};
use tokio::sync::oneshot;

use super::error::StartupError;
use crate::banner::{self, Addresses};
use crate::configuration::{Configuration, ModelConfiguration};

type Outcome = Result<Arc<Engine>, StartupError>;

pub(super) struct Loader {
    thread: JoinHandle<()>,
    outcome: oneshot::Receiver<Outcome>,
}

impl Loader {
    /// Starts the thread. Once the engine is open, it prints the banner and gives the engine to
    /// `state`.
    pub(super) fn start(
        configuration: Configuration,
        addresses: Addresses,
        state: Arc<HttpState>,
        statistics: Arc<Statistics>,
    ) -> Result<Self, StartupError> {
        let (sender, outcome) = oneshot::channel();
        let load = move || {
            let outcome = open_engine(&configuration, &state, statistics).inspect(|engine| {
                banner::print(engine, &configuration, addresses);
                state.opened(Arc::clone(engine));
            });
            // The receiver is gone if the server was stopped first.
            let _ = sender.send(outcome);
        };
        let thread = std::thread::Builder::new()
            .name("loader".to_owned())
            .spawn(load)
            .map_err(|source| StartupError::System {
                action: "spawn a thread",
                source,
            })?;
        Ok(Self { thread, outcome })
    }

    /// The open engine. Dropped before it is complete, it leaves the thread running.
    pub(super) async fn engine(self) -> Outcome {
        let outcome = self.outcome.await.unwrap_or(Err(StartupError::LoaderGone));
        if outcome.is_ok() {
            // The thread has sent its outcome, so it is about to end.
            let _ = self.thread.join();
        }
        outcome
    }
}

/// Opens the data folder and loads the models. Blocks.
fn open_engine(
    configuration: &Configuration,
    state: &HttpState,
    statistics: Arc<Statistics>,
) -> Outcome {
    clipdb_api::engine::set_search_threads(configuration.search_threads);
    clipdb_api::engine::set_build_threads(configuration.index_threads);
    state.starting("the data folder is being opened");
    let load = |used: &BTreeSet<String>| {
        state.starting("the model is being loaded");
        let models = load_models(configuration, used)?;
        state.starting("the collections are being recovered");
        Ok(models)
    };
    Engine::open(configuration.engine.clone(), load, statistics)
}

/// `used`: the models of the collections.
fn load_models(
    configuration: &Configuration,
    used: &BTreeSet<String>,
) -> Result<Models, StartupError> {
    let models = &configuration.models;
    let earlier = models.earlier_defaults.iter();
    let earlier = earlier.filter(|model| used.contains(&model.name));
    let load = |model: &ModelConfiguration| -> Result<Encoder, StartupError> {
        let source = ModelSource::resolve(&model.name, &configuration.model_cache)?;
        Ok(Encoder::load(&source, &model.encoder)?)
    };
    let encoders = models.chosen.iter().chain(earlier).map(load);
    let models = Models::new(encoders.collect::<Result<_, _>>()?)?;
    models.default_model()?;
    Ok(models)
}
