//! The default of every setting. Both the resolved configuration and the help take it from here,
//! and from the `Default` of the settings that the engine, the encoders and the HTTP server declare.

use std::path::{Path, PathBuf};

use clipdb_api::HttpSettings;
use clipdb_api::engine::{EncoderSettings, EngineSettings};

pub const DATA: &str = "./data";
pub(super) const LISTEN: &str = "127.0.0.1:8080";
pub(super) const MODEL: &str = "clipdb-multilingual";
/// The default models of earlier versions, which are part of the binary too.
pub(super) const EARLIER_MODELS: [&str; 1] = ["clipdb-mini"];
pub(super) const DEVICE: &str = "auto";
pub(super) const PRECISION: &str = "f32";
pub(super) const ENGINE: &str = "auto";
pub(super) const LOG: &str = "info,tantivy=warn";
pub(super) const MAX_URL_BYTES: usize = 32 << 20;

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

/// `$CLIPDB_CACHE`, or `~/.cache/clipdb`.
pub fn model_cache() -> PathBuf {
    let cache = std::env::var_os("CLIPDB_CACHE").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    cache.unwrap_or_else(|| home().join(".cache").join("clipdb"))
}

/// The library that `setup.sh onnx` installs, if it is there.
pub fn onnx_runtime_in(model_cache: &Path) -> Option<PathBuf> {
    let library = model_cache.join("onnxruntime").join("libonnxruntime.so");
    library.is_file().then_some(library)
}

/// The options of `clipdb serve` with their defaults in the help.
pub fn show(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| {
        let help = argument.get_help().map(ToString::to_string);
        match (help, shown(argument.get_id().as_str())) {
            (Some(help), Some(default)) => argument.help(format!("{help} [default: {default}]")),
            _ => argument,
        }
    })
}

/// The default of a setting, as the help shows it.
pub(super) fn shown(setting: &str) -> Option<String> {
    let engine = EngineSettings::default();
    let encoder = EncoderSettings::default();
    let rest = HttpSettings::default();
    Some(match setting {
        "data" => DATA.into(),
        "listen" => LISTEN.into(),
        "grpc" => "off".into(),
        "model" => MODEL.into(),
        "replicas" => encoder.replicas.to_string(),
        "model_cache" => "~/.cache/clipdb".into(),
        "device" => DEVICE.into(),
        "precision" => PRECISION.into(),
        "engine" => ENGINE.into(),
        "onnx_runtime" => {
            "onnxruntime/libonnxruntime.so in the model cache, else the system's".into()
        }
        "batch_size" => "chosen for the device".into(),
        "batch_delay_ms" => encoder.batch_delay.as_millis().to_string(),
        "threads" => "the number of cores, divided among the replicas".into(),
        "index_threads" => "the number of cores".into(),
        "decode_threads" => "the number of cores, at least 2".into(),
        "decode_memory_mib" => (encoder.decode_memory >> 20).to_string(),
        "max_image_pixels" => encoder.max_image_pixels.to_string(),
        "max_text_bytes" => engine.max_text_bytes.to_string(),
        "max_fields" => engine.max_fields.to_string(),
        "max_collections" => engine.max_collections.to_string(),
        "open_collections" => engine.open_collections.to_string(),
        "start_patience_seconds" => engine.start_patience.as_secs().to_string(),
        "max_body_bytes" => rest.max_body_bytes.to_string(),
        "max_line_bytes" => rest.max_line_bytes.to_string(),
        "body_timeout_seconds" => rest.pace.patience.as_secs().to_string(),
        "min_body_rate" => rest.pace.least_rate.to_string(),
        "body_deadline_seconds" => rest.pace.deadline.as_secs().to_string(),
        "ingest_memory_mib" => (engine.ingest_bytes >> 20).to_string(),
        "max_url_bytes" => MAX_URL_BYTES.to_string(),
        "cache_mib" => (engine.cache_bytes >> 20).to_string(),
        "disk_reserve_mib" => (engine.disk_reserve_bytes >> 20).to_string(),
        "tls_cert" => "no TLS".into(),
        "url_ingest_allow" | "cors_origin" | "base_path" | "otlp" => "none".into(),
        "allowed_host" => "localhost, loopback addresses and the listen address".into(),
        "clip_as_service_collection" => rest.clip_as_service.collection.to_string(),
        "log" => LOG.into(),
        _ => return None,
    })
}
