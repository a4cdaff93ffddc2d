//! Threads, limits and counters that all collections of a data folder share.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use crate::collection::damage::DamageReport;
use crate::collection::open_indexes::OpenIndexes;
use crate::collection::pool::{Pool, Queue};
use crate::error::EngineError;
use crate::metrics::statistics::Statistics;
use crate::settings::EngineSettings;

pub(crate) struct Shared {
    pub(crate) settings: EngineSettings,
    pub(crate) statistics: Arc<Statistics>,
    pub(crate) pool: Arc<Queue>,
    pub(crate) open_indexes: Arc<OpenIndexes>,
    pub(crate) damage: Sender<DamageReport>,
}

impl Shared {
    /// Starts the threads. The owner of the pool joins them, after all collections were closed.
    pub(crate) fn start(
        settings: &EngineSettings,
        statistics: &Arc<Statistics>,
    ) -> Result<(Arc<Self>, Pool, Receiver<DamageReport>), EngineError> {
        let threads = settings.commit_threads;
        let pool = Pool::start(threads).map_err(EngineError::Thread)?;
        let open_indexes =
            OpenIndexes::start(settings.open_collections, threads).map_err(EngineError::Thread)?;
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
