//! The protocols' metrics, in the engine's registry.

use prometheus::Registry;

use super::request_log::RequestStatistics;
use crate::clip_as_service::CallStatistics;

pub struct ProtocolStatistics {
    pub(super) requests: RequestStatistics,
    pub(super) calls: CallStatistics,
}

impl ProtocolStatistics {
    /// # Errors
    /// The registry has these metrics already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
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
