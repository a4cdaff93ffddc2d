//! Resolves the data folder, the limits of collections, and the memory and disk budgets.

use std::path::PathBuf;
use std::time::Duration;

use clipdb_api::engine::{EncoderSettings, EngineSettings, ImageLimits, UrlIngestSettings};

use super::defaults;
use super::error::ConfigurationError;
use super::settings::Settings;
use super::value::{at_least_or, mebibytes_or};

impl Settings {
    /// The engine's settings. Thumbnails are decoded under the limits of `encoder`.
    pub(super) fn database(
        &self,
        encoder: &EncoderSettings,
    ) -> Result<EngineSettings, ConfigurationError> {
        let default = EngineSettings::default();
        Ok(EngineSettings {
            data: (self.data.clone()).unwrap_or_else(|| PathBuf::from(defaults::DATA)),
            cache_bytes: mebibytes_or("cache_mib", self.cache_mib, 1, default.cache_bytes)?,
            disk_reserve_bytes: mebibytes_or(
                "disk_reserve_mib",
                self.disk_reserve_mib,
                1,
                default.disk_reserve_bytes,
            )?,
            ingest_bytes: mebibytes_or(
                "ingest_memory_mib",
                self.ingest_memory_mib,
                1,
                default.ingest_bytes,
            )?,
            max_text_bytes: at_least_or(
                "max_text_bytes",
                self.max_text_bytes,
                1,
                default.max_text_bytes,
            )?,
            max_fields: at_least_or("max_fields", self.max_fields, 1, default.max_fields)?,
            max_collections: at_least_or(
                "max_collections",
                self.max_collections,
                1,
                default.max_collections,
            )?,
            open_collections: at_least_or(
                "open_collections",
                self.open_collections,
                1,
                default.open_collections,
            )?,
            start_patience: (self.start_patience_seconds)
                .map_or(default.start_patience, Duration::from_secs),
            url_ingest: self.url_ingest()?,
            image_limits: ImageLimits {
                max_pixels: encoder.max_image_pixels,
            },
            thumbnail_memory: encoder.decode_memory,
            ..default
        })
    }

    fn url_ingest(&self) -> Result<UrlIngestSettings, ConfigurationError> {
        Ok(UrlIngestSettings {
            enabled: self.url_ingest,
            allow: self.url_ingest_allow.clone(),
            max_bytes: at_least_or(
                "max_url_bytes",
                self.max_url_bytes,
                1024,
                defaults::MAX_URL_BYTES,
            )?,
        })
    }
}
