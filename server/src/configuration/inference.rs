//! Resolves how the models compute.

use std::path::Path;
use std::time::Duration;

use clipdb_api::engine::EncoderSettings;

use super::defaults;
use super::error::ConfigurationError;
use super::settings::Settings;
use super::value::{at_least, at_least_or, mebibytes_or, parse};

impl Settings {
    /// The settings that all models share.
    pub(super) fn encoder(
        &self,
        model_cache: &Path,
    ) -> Result<EncoderSettings, ConfigurationError> {
        let default = EncoderSettings::default();
        Ok(EncoderSettings {
            engine: parse("engine", self.engine.as_deref().unwrap_or(defaults::ENGINE))?,
            onnx_runtime: (self.onnx_runtime.clone())
                .or_else(|| defaults::onnx_runtime_in(model_cache)),
            devices: parse("device", self.device.as_deref().unwrap_or(defaults::DEVICE))?,
            precision: parse(
                "precision",
                self.precision.as_deref().unwrap_or(defaults::PRECISION),
            )?,
            decode_threads: at_least_or(
                "decode_threads",
                self.decode_threads,
                1,
                default.decode_threads,
            )?,
            decode_memory: mebibytes_or(
                "decode_memory_mib",
                self.decode_memory_mib,
                16,
                default.decode_memory,
            )?,
            max_image_pixels: at_least_or(
                "max_image_pixels",
                self.max_image_pixels,
                1,
                default.max_image_pixels,
            )?,
            batch_size: (self.batch_size)
                .map(|size| at_least("batch_size", size, 1))
                .transpose()?,
            batch_delay: (self.batch_delay_ms).map_or(default.batch_delay, Duration::from_millis),
            ..default
        })
    }
}
