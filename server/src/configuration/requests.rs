//! Resolves the limits of requests, their minimum rate, and settings of the HTTP protocols.

use std::time::Duration;

use clipdb_api::{ApiKey, ClipAsServiceSettings, Hosts, HttpSettings, Pace};

use super::error::ConfigurationError;
use super::settings::Settings;
use super::value::{at_least, at_least_or, parse};

impl Settings {
    pub(super) fn requests(
        &self,
        api_key: Option<ApiKey>,
        hosts: Hosts,
    ) -> Result<HttpSettings, ConfigurationError> {
        let default = HttpSettings::default();
        Ok(HttpSettings {
            api_key,
            hosts,
            cors_origins: self.cors_origin.clone(),
            base_path: parse("base_path", self.base_path.as_deref().unwrap_or_default())?,
            max_body_bytes: at_least_or(
                "max_body_bytes",
                self.max_body_bytes,
                1024,
                default.max_body_bytes,
            )?,
            max_line_bytes: at_least_or(
                "max_line_bytes",
                self.max_line_bytes,
                1024,
                default.max_line_bytes,
            )?,
            pace: self.pace(default.pace)?,
            clip_as_service: self.clip_as_service()?,
        })
    }

    fn pace(&self, default: Pace) -> Result<Pace, ConfigurationError> {
        let seconds = |key, given: Option<u64>, default| {
            given.map_or(Ok(default), |seconds| {
                at_least(key, seconds, 1).map(Duration::from_secs)
            })
        };
        Ok(Pace {
            patience: seconds(
                "body_timeout_seconds",
                self.body_timeout_seconds,
                default.patience,
            )?,
            least_rate: at_least_or("min_body_rate", self.min_body_rate, 1, default.least_rate)?,
            deadline: seconds(
                "body_deadline_seconds",
                self.body_deadline_seconds,
                default.deadline,
            )?,
        })
    }

    fn clip_as_service(&self) -> Result<ClipAsServiceSettings, ConfigurationError> {
        let collection = (self.clip_as_service_collection.as_deref())
            .map(|name| parse("clip_as_service_collection", name))
            .transpose()?;
        Ok(ClipAsServiceSettings {
            collection: collection.unwrap_or_default(),
            normalise: self.clip_as_service_normalise,
        })
    }
}
