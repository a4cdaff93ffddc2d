//! The protocols' metrics, in the engine's registry.

use std::sync::Arc;

use super::request_log::RequestStatistics;
use crate::clip_as_service::CallStatistics;
use crate::clip_as_service::metrics::stage_collector;
use crate::http::state::HttpState;

pub struct ProtocolStatistics {
    pub(super) requests: RequestStatistics,
    pub(super) calls: CallStatistics,
}

impl ProtocolStatistics {
    /// Registers what the protocols of `state` count.
    ///
    /// # Errors
    /// The registry has these metrics already.
    pub fn new(state: &Arc<HttpState>) -> Result<Self, prometheus::Error> {
        let registry = state.statistics.registry();
        registry.register(Box::new(stage_collector(state)?))?;
        Ok(Self {
            requests: RequestStatistics::new(registry)?,
            calls: CallStatistics::new(registry)?,
        })
    }

    /// The metrics of CLIP-as-service's calls, which its listeners share.
    pub fn calls(&self) -> CallStatistics {
        self.calls.clone()
    }
}
