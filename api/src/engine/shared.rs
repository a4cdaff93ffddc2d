//! What all collections of a data folder share: threads, limits and counters.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use super::committer::DamageReport;
use super::open_indexes::OpenIndexes;
use super::pool::{Pool, Queue};
use super::settings::EngineSettings;
use super::statistics::Statistics;
use crate::error::ApiError;

pub(super) struct Shared {
    pub(super) settings: EngineSettings,
    pub(super) statistics: Arc<Statistics>,
    pub(super) pool: Arc<Queue>,
    pub(super) open_indexes: Arc<OpenIndexes>,
    pub(super) damage: Sender<DamageReport>,
}

impl Shared {
    /// Starts the threads. The pool's owner ends them, after every collection was closed.
    pub(super) fn start(
        settings: &EngineSettings,
        statistics: &Arc<Statistics>,
    ) -> Result<(Arc<Self>, Pool, Receiver<DamageReport>), ApiError> {
        let threads = settings.commit_threads;
        let pool = Pool::start(threads).map_err(ApiError::Thread)?;
        let open_indexes =
            OpenIndexes::start(settings.open_collections, threads).map_err(ApiError::Thread)?;
        let (damage, reports) = mpsc::channel();
        let shared = Self {
            settings: settings.clone(),
            statistics: Arc::clone(statistics),
            pool: Arc::clone(pool.queue()),
            open_indexes: Arc::new(open_indexes),
            damage,
        };
        Ok((Arc::new(shared), pool, reports))
    }
}
