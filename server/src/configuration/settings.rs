//! The settings as they are given.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

/// The settings that were given as flag, in the environment or in the file. A setting that was not
/// given is absent: its default is applied when the settings are resolved.
#[derive(Args, Serialize, Deserialize, Default, Clone, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Data folder; it holds everything
    #[arg(long, env = "CLIPDB_DATA", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<PathBuf>,

    /// Address to listen on; an address that non-local clients can reach requires an API key
    #[arg(long, env = "CLIPDB_LISTEN", value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) listen: Option<String>,

    /// Address to serve CLIP-as-service's gRPC protocol on, usually port 51000
    #[arg(long, env = "CLIPDB_GRPC", value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grpc: Option<String>,

    /// Bundled model, folder in the Hugging Face layout, or hub id; repeatable, the first is the
    /// default model
    #[arg(
        long,
        env = "CLIPDB_MODEL",
        value_name = "NAME|DIR|HUB-ID",
        value_delimiter = ','
    )]
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "one_or_many"
    )]
    pub(super) model: Vec<String>,

    /// Only in the file: a list of models, each with its own number of replicas.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) models: Vec<ModelEntry>,

    /// Replicas of each model, which compute in parallel and share one queue; on a CPU they divide
    /// the cores
    #[arg(long, env = "CLIPDB_REPLICAS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) replicas: Option<usize>,

    /// Folder for downloaded models
    #[arg(long, env = "CLIPDB_MODEL_CACHE", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model_cache: Option<PathBuf>,

    /// auto, cpu, cuda or cuda:N; several separated by commas, such as cuda:0,cuda:1, with as many
    /// replicas on each
    #[arg(long, env = "CLIPDB_DEVICE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<String>,

    /// Precision of weights and activations: f32, f16 or bf16
    #[arg(long, env = "CLIPDB_PRECISION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) precision: Option<String>,

    /// Inference engine: libtorch, onnx (ONNX Runtime), or auto, which selects onnx for folders
    /// that contain graphs and no tensors
    #[arg(long, env = "CLIPDB_ENGINE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) engine: Option<String>,

    /// ONNX Runtime library
    #[arg(long, env = "CLIPDB_ONNX_RUNTIME", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) onnx_runtime: Option<PathBuf>,

    /// Maximum number of inputs in one batch of the model
    #[arg(long, env = "CLIPDB_BATCH_SIZE", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch_size: Option<usize>,

    /// Time that an ingest batch waits to fill, in milliseconds; searches never wait
    #[arg(long, env = "CLIPDB_BATCH_DELAY_MS", value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch_delay_ms: Option<u64>,

    /// Threads of each model replica, and of vector search
    #[arg(long, env = "CLIPDB_THREADS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) threads: Option<usize>,

    /// Threads that build vector indexes in the background, at the lowest priority
    #[arg(long, env = "CLIPDB_INDEX_THREADS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index_threads: Option<usize>,

    /// Threads that decode images
    #[arg(long, env = "CLIPDB_DECODE_THREADS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decode_threads: Option<usize>,

    /// Memory budget of image decoding, in MiB
    #[arg(long, env = "CLIPDB_DECODE_MEMORY_MIB", value_name = "MIB")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decode_memory_mib: Option<u64>,

    /// Maximum number of pixels of an image; larger images are rejected before they are decoded
    #[arg(long, env = "CLIPDB_MAX_IMAGE_PIXELS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_image_pixels: Option<u64>,

    /// Maximum length of the text of a document or query, in bytes
    #[arg(long, env = "CLIPDB_MAX_TEXT_BYTES", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_text_bytes: Option<usize>,

    /// Maximum number of distinct metadata fields in a collection; a document that would exceed it is
    /// rejected
    #[arg(long, env = "CLIPDB_MAX_FIELDS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_fields: Option<usize>,

    /// Maximum number of collections
    #[arg(long, env = "CLIPDB_MAX_COLLECTIONS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_collections: Option<usize>,

    /// Number of collections whose search indexes are open at the same time; the indexes of others are
    /// opened on demand
    #[arg(long, env = "CLIPDB_OPEN_COLLECTIONS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) open_collections: Option<usize>,

    /// Time that startup waits for search indexes to catch up before it serves the collections that
    /// are ready, in seconds
    #[arg(long, env = "CLIPDB_START_PATIENCE_SECONDS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_patience_seconds: Option<u64>,

    /// Maximum size of a JSON or multipart body, in bytes
    #[arg(long, env = "CLIPDB_MAX_BODY_BYTES", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_body_bytes: Option<usize>,

    /// Maximum length of a line of NDJSON, in bytes
    #[arg(long, env = "CLIPDB_MAX_LINE_BYTES", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_line_bytes: Option<usize>,

    /// Time that a client may send a body more slowly than 'min_body_rate', in seconds
    #[arg(long, env = "CLIPDB_BODY_TIMEOUT_SECONDS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body_timeout_seconds: Option<u64>,

    /// Minimum rate at which a client must send a body, in bytes per second
    #[arg(long, env = "CLIPDB_MIN_BODY_RATE", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min_body_rate: Option<u64>,

    /// Maximum time to receive a JSON body, a form or a message, in seconds; streams (NDJSON,
    /// snapshots) may take a day
    #[arg(long, env = "CLIPDB_BODY_DEADLINE_SECONDS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body_deadline_seconds: Option<u64>,

    /// Memory budget of documents that are being ingested, for all requests together, in MiB; images
    /// fetched from URLs have another budget of the same size
    #[arg(long, env = "CLIPDB_INGEST_MEMORY_MIB", value_name = "MIB")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ingest_memory_mib: Option<usize>,

    /// Fetch images that documents and queries reference by an http(s) URL, from public addresses
    #[arg(long, env = "CLIPDB_URL_INGEST")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) url_ingest: bool,

    /// Non-public host name or address that images may be fetched from; repeatable
    #[arg(
        long,
        env = "CLIPDB_URL_INGEST_ALLOW",
        value_name = "HOST",
        value_delimiter = ','
    )]
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "one_or_many"
    )]
    pub(super) url_ingest_allow: Vec<String>,

    /// Maximum size of an image fetched from a URL, in bytes
    #[arg(long, env = "CLIPDB_MAX_URL_BYTES", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_url_bytes: Option<usize>,

    /// Size of the database's page cache, in MiB
    #[arg(long, env = "CLIPDB_CACHE_MIB", value_name = "MIB")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_mib: Option<u64>,

    /// Free disk space below which writes are rejected, in MiB
    #[arg(long, env = "CLIPDB_DISK_RESERVE_MIB", value_name = "MIB")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) disk_reserve_mib: Option<u64>,

    /// TLS certificate followed by its chain, in PEM; enables TLS on all addresses
    #[arg(long, env = "CLIPDB_TLS_CERT", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_cert: Option<PathBuf>,

    /// Private key of the TLS certificate, in PEM
    #[arg(long, env = "CLIPDB_TLS_KEY", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_key: Option<PathBuf>,

    /// API key that clients send as 'Authorization: Bearer KEY'
    #[arg(
        long,
        env = "CLIPDB_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) api_key: Option<String>,

    /// File that contains the API key, or '-' for standard input; a key in the command line is
    /// briefly visible to every user of the machine
    #[arg(long, env = "CLIPDB_API_KEY_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) api_key_file: Option<PathBuf>,

    /// Allow non-local clients without an API key
    #[arg(long, env = "CLIPDB_NO_AUTH")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) no_auth: bool,

    /// Origin whose pages may call the API, or '*'; repeatable
    #[arg(
        long,
        env = "CLIPDB_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "one_or_many"
    )]
    pub(super) cors_origin: Vec<String>,

    /// Host name that requests to a server without an API key may use, or '*'; repeatable
    #[arg(
        long,
        env = "CLIPDB_ALLOWED_HOST",
        value_name = "HOST",
        value_delimiter = ','
    )]
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "one_or_many"
    )]
    pub(super) allowed_host: Vec<String>,

    /// Path prefix under which a reverse proxy forwards requests, such as /clipdb; requests without
    /// the prefix are served too
    #[arg(long, env = "CLIPDB_BASE_PATH", value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) base_path: Option<String>,

    /// Collection of CLIP-as-service clients whose requests do not name one
    #[arg(long, env = "CLIPDB_CLIP_AS_SERVICE_COLLECTION", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clip_as_service_collection: Option<String>,

    /// Return vectors of length 1 to CLIP-as-service clients; CLIP-as-service itself returns them
    /// unnormalised
    #[arg(long, env = "CLIPDB_CLIP_AS_SERVICE_NORMALISE")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) clip_as_service_normalise: bool,

    /// Log filter, in the syntax of tracing's EnvFilter
    #[arg(long, env = "CLIPDB_LOG", value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log: Option<String>,

    /// OpenTelemetry collector that receives a span for each request and its stages by OTLP over
    /// gRPC, such as http://127.0.0.1:4317
    #[arg(long, env = "CLIPDB_OTLP", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp: Option<String>,
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(value)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}

/// `[[models]]` of the file.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelEntry {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) replicas: Option<usize>,
}
