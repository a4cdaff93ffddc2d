//! All settings of the server: one typed struct with documented defaults.
//!
//! Each setting is a flag, an environment variable `CLIPDB_…` and a key of the
//! TOML file, under one name; flags win over environment, environment over file.
//! What is wrong is told at start-up with the key's name.

mod key;
mod models;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clipdb_api::engine::{EncoderSettings, EngineSettings, ImageLimits, UrlIngestSettings};
use clipdb_api::{ClipAsServiceSettings, Hosts, Pace, HttpSettings, TlsIdentity};
use serde::{Deserialize, Serialize};

pub use models::ModelConfiguration;
use models::ModelEntry;

#[derive(Args)]
pub struct ServeArguments {
    /// A TOML file with any of the settings below, by their long names with '_' for '-'
    #[arg(long, env = "CLIPDB_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// What was given, by flag, environment or file; nothing is a default yet.
#[derive(Args, Serialize, Deserialize, Default, Clone, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The folder that holds everything [default: ./data]
    #[arg(long, env = "CLIPDB_DATA", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,

    /// Where to listen [default: 127.0.0.1:8080]; others than this machine need an API key
    #[arg(long, env = "CLIPDB_LISTEN", value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<String>,

    /// Where CLIP-as-service's clients find gRPC, usually on port 51000 [default: off]
    #[arg(long, env = "CLIPDB_GRPC", value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc: Option<String>,

    /// A bundled model's name, a folder in the Hugging Face layout, or a hub id; may repeat, the
    /// first is the default [default: clipdb-mini]
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
    model: Vec<String>,

    /// In the file alone: the models one by one, each with its own number of replicas.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<ModelEntry>,

    /// Copies of each model that compute at the same time, fed by one queue; on a CPU they
    /// share the cores [default: 1]
    #[arg(long, env = "CLIPDB_REPLICAS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<usize>,

    /// The folder that pulled models are kept in [default: ~/.cache/clipdb]
    #[arg(long, env = "CLIPDB_MODEL_CACHE", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    model_cache: Option<PathBuf>,

    /// auto, cpu, cuda or cuda:N; several after commas, such as cuda:0,cuda:1, each with as many
    /// replicas [default: auto]
    #[arg(long, env = "CLIPDB_DEVICE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,

    /// Number format of weights and activations: f32, f16 or bf16 [default: f32]
    #[arg(long, env = "CLIPDB_PRECISION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<String>,

    /// What runs a model: libtorch, onnx (ONNX Runtime), or auto: onnx for folders that hold
    /// graphs and no tensors [default: auto]
    #[arg(long, env = "CLIPDB_ENGINE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<String>,

    /// The ONNX Runtime library [default: onnxruntime/libonnxruntime.so in the model cache,
    /// else the system's]
    #[arg(long, env = "CLIPDB_ONNX_RUNTIME", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    onnx_runtime: Option<PathBuf>,

    /// The most inputs that the model computes at once [default: the device decides]
    #[arg(long, env = "CLIPDB_BATCH_SIZE", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size: Option<usize>,

    /// Milliseconds that a batch of ingest waits to fill; searches never wait [default: 0]
    #[arg(long, env = "CLIPDB_BATCH_DELAY_MS", value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_delay_ms: Option<u64>,

    /// Threads of each replica of a model, and of vector search [default: the number of cores;
    /// replicas share them]
    #[arg(long, env = "CLIPDB_THREADS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<usize>,

    /// Threads that build vector indexes in the background; they give way to everything else
    /// [default: the number of cores]
    #[arg(long, env = "CLIPDB_INDEX_THREADS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    index_threads: Option<usize>,

    /// Threads that decode pictures [default: the number of cores, at least 2]
    #[arg(long, env = "CLIPDB_DECODE_THREADS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    decode_threads: Option<usize>,

    /// Memory that decoding pictures may take, all together, in MiB [default: 1024]
    #[arg(long, env = "CLIPDB_DECODE_MEMORY_MIB", value_name = "MIB")]
    #[serde(skip_serializing_if = "Option::is_none")]
    decode_memory_mib: Option<u64>,

    /// Pictures with more pixels are refused unread [default: 64000000]
    #[arg(long, env = "CLIPDB_MAX_IMAGE_PIXELS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_image_pixels: Option<u64>,

    /// The longest text of a document or query, in bytes [default: 1048576]
    #[arg(long, env = "CLIPDB_MAX_TEXT_BYTES", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_text_bytes: Option<usize>,

    /// The most different metadata fields that the documents of a collection may have; a document
    /// that would bring more is refused [default: 10000]
    #[arg(long, env = "CLIPDB_MAX_FIELDS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fields: Option<usize>,

    /// The most collections; one more is refused [default: 20000]
    #[arg(long, env = "CLIPDB_MAX_COLLECTIONS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_collections: Option<usize>,

    /// Collections whose search indexes are open at once; the others are opened when they are used
    /// [default: 256]
    #[arg(long, env = "CLIPDB_OPEN_COLLECTIONS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    open_collections: Option<usize>,

    /// How long a start waits for search indexes that lack documents before it serves what can be
    /// read, in seconds [default: 2]
    #[arg(long, env = "CLIPDB_START_PATIENCE_SECONDS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    start_patience_seconds: Option<u64>,

    /// The largest JSON or multipart body, in bytes [default: 134217728]
    #[arg(long, env = "CLIPDB_MAX_BODY_BYTES", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_body_bytes: Option<usize>,

    /// The longest line of NDJSON, in bytes [default: 50331648]
    #[arg(long, env = "CLIPDB_MAX_LINE_BYTES", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_line_bytes: Option<usize>,

    /// How long a client may send less of a body than 'min_body_rate', in seconds [default: 30]
    #[arg(long, env = "CLIPDB_BODY_TIMEOUT_SECONDS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    body_timeout_seconds: Option<u64>,

    /// The least that a client sends of a body, in bytes a second [default: 500]
    #[arg(long, env = "CLIPDB_MIN_BODY_RATE", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    min_body_rate: Option<u64>,

    /// The most time that a JSON body, a form or a message may take to come, in seconds; streams
    /// (NDJSON, snapshots) may take a day [default: 3600]
    #[arg(long, env = "CLIPDB_BODY_DEADLINE_SECONDS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    body_deadline_seconds: Option<u64>,

    /// Memory of documents on their way in, all requests together, in MiB; pictures fetched from
    /// URLs may take as much again [default: 512]
    #[arg(long, env = "CLIPDB_INGEST_MEMORY_MIB", value_name = "MIB")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ingest_memory_mib: Option<usize>,

    /// Fetch pictures that documents and queries name by an http(s) URL, from public addresses
    #[arg(long, env = "CLIPDB_URL_INGEST")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    url_ingest: bool,

    /// A host name or address that pictures may be fetched from though it is not public; may
    /// repeat [default: none]
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
    url_ingest_allow: Vec<String>,

    /// The largest picture that is fetched from a URL, in bytes [default: 33554432]
    #[arg(long, env = "CLIPDB_MAX_URL_BYTES", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_url_bytes: Option<usize>,

    /// Memory of the database's page cache, in MiB [default: 256]
    #[arg(long, env = "CLIPDB_CACHE_MIB", value_name = "MIB")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_mib: Option<u64>,

    /// Writes are refused while the data folder's disk has less left than this, in MiB [default: 64]
    #[arg(long, env = "CLIPDB_DISK_RESERVE_MIB", value_name = "MIB")]
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_reserve_mib: Option<u64>,

    /// The certificate, its chain behind it, in PEM: all addresses speak TLS [default: none do]
    #[arg(long, env = "CLIPDB_TLS_CERT", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key, in PEM
    #[arg(long, env = "CLIPDB_TLS_KEY", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key: Option<PathBuf>,

    /// The key that clients send as 'Authorization: Bearer KEY'
    #[arg(
        long,
        env = "CLIPDB_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,

    /// A file that holds the key, or '-' for standard input: a key in the command line can be seen
    /// by every user of the machine for a moment
    #[arg(long, env = "CLIPDB_API_KEY_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_file: Option<PathBuf>,

    /// Serve others than this machine without a key, on purpose
    #[arg(long, env = "CLIPDB_NO_AUTH")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_auth: bool,

    /// An origin whose pages may call the API, or '*'; may repeat [default: none]
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
    cors_origin: Vec<String>,

    /// A host name that a server without a key may be asked by, or '*'; may repeat [default:
    /// localhost, loopback addresses and the listen address]
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
    allowed_host: Vec<String>,

    /// A path that everything is served under as well, as a reverse proxy sends it on, such as
    /// /clipdb [default: none]
    #[arg(long, env = "CLIPDB_BASE_PATH", value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    base_path: Option<String>,

    /// The collection of CLIP-as-service's clients, unless their requests name one
    /// [default: default]
    #[arg(long, env = "CLIPDB_CLIP_AS_SERVICE_COLLECTION", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    clip_as_service_collection: Option<String>,

    /// Give CLIP-as-service's clients vectors of length 1; CLIP-as-service itself gives them as
    /// the model does
    #[arg(long, env = "CLIPDB_CLIP_AS_SERVICE_NORMALISE")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    clip_as_service_normalise: bool,

    /// What is logged, as tracing's filters say [default: info,tantivy=warn]
    #[arg(long, env = "CLIPDB_LOG", value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,

    /// The OpenTelemetry collector that gets a span for each request and its stages, by OTLP
    /// over gRPC, such as http://127.0.0.1:4317 [default: none]
    #[arg(long, env = "CLIPDB_OTLP", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp: Option<String>,
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

#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    #[error("the configuration file {} can't be read: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the configuration file {} is wrong: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("the setting '{key}' is wrong: {reason}")]
    Setting { key: &'static str, reason: String },
    #[error(
        "'{0}' can be reached by others and no API key is set: give --api-key-file FILE (or --api-key, CLIPDB_API_KEY), \
         or --no-auth to serve everybody on purpose"
    )]
    Open(SocketAddr),
}

/// Checked and complete.
#[derive(Debug, Clone)]
pub struct Configuration {
    pub listen: SocketAddr,
    pub grpc: Option<SocketAddr>,
    pub tls: Option<TlsIdentity>,
    /// The first is the default.
    pub models: Vec<ModelConfiguration>,
    pub model_cache: PathBuf,
    pub engine: EngineSettings,
    pub rest: HttpSettings,
    pub search_threads: std::num::NonZeroUsize,
    pub index_threads: std::num::NonZeroUsize,
    pub workers: usize,
    pub log: String,
    pub otlp: Option<String>,
}

impl ServeArguments {
    /// Flags and environment over the file over the defaults.
    pub fn resolve(self) -> Result<Configuration, ConfigurationError> {
        let settings = match &self.config {
            Some(path) => self.settings.over(read_file(path)?, path)?,
            None => self.settings,
        };
        settings.check()
    }
}

fn read_file(path: &Path) -> Result<Settings, ConfigurationError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigurationError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|error| wrong_file(path, &error))
}

fn wrong_file(path: &Path, error: &dyn std::error::Error) -> ConfigurationError {
    ConfigurationError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

impl Settings {
    /// These settings, and those of `file` where these say nothing.
    fn over(self, mut file: Self, path: &Path) -> Result<Self, ConfigurationError> {
        self.keep_models(&mut file)?;
        if self.api_key.is_some() || self.api_key_file.is_some() {
            (file.api_key, file.api_key_file) = (None, None);
        }
        let mut merged = toml::Table::try_from(file).map_err(|error| wrong_file(path, &error))?;
        merged.extend(toml::Table::try_from(self).map_err(|error| wrong_file(path, &error))?);
        merged.try_into().map_err(|error| wrong_file(path, &error))
    }

    fn check(mut self) -> Result<Configuration, ConfigurationError> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let threads = at_least("threads", self.threads.unwrap_or(cores), 1)?;
        let listen = address("listen", self.listen.as_deref().unwrap_or("127.0.0.1:8080"))?;
        let grpc = self
            .grpc
            .as_deref()
            .map(|grpc| address("grpc", grpc))
            .transpose()?;
        let api_key = key::read(self.api_key.take(), self.api_key_file.take())?;
        let hosts = match &api_key {
            Some(_) => Hosts::every(),
            None => {
                // A listen address may be given as a name.
                let listened = [self.listen.as_deref(), self.grpc.as_deref()].into_iter();
                let named: Vec<String> = listened
                    .flatten()
                    .map(str::to_owned)
                    .chain(self.allowed_host.drain(..))
                    .collect();
                Hosts::of([Some(listen), grpc].into_iter().flatten(), &named)
            }
        };
        let mut open = [Some(listen), grpc].into_iter().flatten();
        if api_key.is_none()
            && !self.no_auth
            && let Some(open) = open.find(|address| !is_local(address.ip()))
        {
            return Err(ConfigurationError::Open(open));
        }
        let model_cache = self.model_cache.take().unwrap_or_else(default_model_cache);
        let tls = match (self.tls_cert.take(), self.tls_key.take()) {
            (Some(certificate), Some(key)) => Some(
                TlsIdentity::read(&certificate, &key).map_err(|error| wrong("tls_cert", error))?,
            ),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("tls_key", "it is missing beside 'tls_cert'")),
            (None, Some(_)) => return Err(wrong("tls_cert", "it is missing beside 'tls_key'")),
        };
        let encoder = EncoderSettings {
            engine: parsed("engine", self.engine.as_deref().unwrap_or("auto"))?,
            onnx_runtime: self
                .onnx_runtime
                .take()
                .or_else(|| onnx_runtime_in(&model_cache)),
            devices: parsed("device", self.device.as_deref().unwrap_or("auto"))?,
            precision: parsed("precision", self.precision.as_deref().unwrap_or("f32"))?,
            decode_threads: at_least(
                "decode_threads",
                self.decode_threads.unwrap_or(cores.max(2)),
                1,
            )?,
            batch_size: self
                .batch_size
                .map(|size| at_least("batch_size", size, 1))
                .transpose()?,
            batch_delay: Duration::from_millis(self.batch_delay_ms.unwrap_or(0)),
            max_image_pixels: at_least(
                "max_image_pixels",
                self.max_image_pixels.unwrap_or(64_000_000),
                1,
            )?,
            decode_memory: at_least(
                "decode_memory_mib",
                self.decode_memory_mib.unwrap_or(1024),
                16,
            )? << 20,
            ..EncoderSettings::default()
        };
        let models = self.model_list(&encoder, cores)?;
        let engine = EngineSettings {
            data: self.data.unwrap_or_else(|| PathBuf::from("./data")),
            cache_bytes: at_least("cache_mib", self.cache_mib.unwrap_or(256), 1)? << 20,
            disk_reserve_bytes: at_least(
                "disk_reserve_mib",
                self.disk_reserve_mib.unwrap_or(64),
                1,
            )? << 20,
            ingest_bytes: at_least(
                "ingest_memory_mib",
                self.ingest_memory_mib.unwrap_or(512),
                1,
            )? << 20,
            max_text_bytes: at_least("max_text_bytes", self.max_text_bytes.unwrap_or(1 << 20), 1)?,
            start_patience: Duration::from_secs(self.start_patience_seconds.unwrap_or(2)),
            max_fields: at_least("max_fields", self.max_fields.unwrap_or(10_000), 1)?,
            max_collections: at_least(
                "max_collections",
                self.max_collections.unwrap_or(20_000),
                1,
            )?,
            open_collections: at_least(
                "open_collections",
                self.open_collections.unwrap_or(256),
                1,
            )?,
            url_ingest: UrlIngestSettings {
                enabled: self.url_ingest,
                allow: self.url_ingest_allow,
                max_bytes: at_least(
                    "max_url_bytes",
                    self.max_url_bytes.unwrap_or(32 << 20),
                    1024,
                )?,
            },
            image_limits: ImageLimits {
                max_pixels: encoder.max_image_pixels,
            },
            thumbnail_memory: encoder.decode_memory,
            ..EngineSettings::default()
        };
        let rest = HttpSettings {
            api_key,
            cors_origins: self.cors_origin,
            hosts,
            base_path: parsed("base_path", self.base_path.as_deref().unwrap_or_default())?,
            max_body_bytes: at_least(
                "max_body_bytes",
                self.max_body_bytes.unwrap_or(128 << 20),
                1024,
            )?,
            max_line_bytes: at_least(
                "max_line_bytes",
                self.max_line_bytes.unwrap_or(48 << 20),
                1024,
            )?,
            pace: Pace {
                patience: Duration::from_secs(at_least(
                    "body_timeout_seconds",
                    self.body_timeout_seconds.unwrap_or(30),
                    1,
                )?),
                least_rate: at_least("min_body_rate", self.min_body_rate.unwrap_or(500), 1)?,
                deadline: Duration::from_secs(at_least(
                    "body_deadline_seconds",
                    self.body_deadline_seconds.unwrap_or(3600),
                    1,
                )?),
            },
            clip_as_service: ClipAsServiceSettings {
                collection: self
                    .clip_as_service_collection
                    .map(|name| parsed("clip_as_service_collection", &name))
                    .transpose()?
                    .unwrap_or_default(),
                normalise: self.clip_as_service_normalise,
            },
        };
        Ok(Configuration {
            listen,
            grpc,
            tls,
            models,
            model_cache,
            engine,
            rest,
            search_threads: std::num::NonZeroUsize::new(threads)
                .unwrap_or(std::num::NonZeroUsize::MIN),
            index_threads: std::num::NonZeroUsize::new(at_least(
                "index_threads",
                self.index_threads.unwrap_or(cores),
                1,
            )?)
            .unwrap_or(std::num::NonZeroUsize::MIN),
            workers: cores.max(2),
            otlp: self.otlp,
            log: self.log.unwrap_or_else(|| "info,tantivy=warn".to_owned()),
        })
    }
}

/// Where `setup.sh onnx` puts it.
pub fn onnx_runtime_in(model_cache: &Path) -> Option<PathBuf> {
    let library = model_cache.join("onnxruntime").join("libonnxruntime.so");
    library.is_file().then_some(library)
}

/// `$CLIPDB_CACHE`, or `~/.cache/clipdb`.
pub fn default_model_cache() -> PathBuf {
    let cache = std::env::var_os("CLIPDB_CACHE").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    cache.unwrap_or_else(|| home().join(".cache").join("clipdb"))
}

fn wrong(key: &'static str, reason: impl ToString) -> ConfigurationError {
    ConfigurationError::Setting {
        key,
        reason: reason.to_string(),
    }
}

fn at_least<T: PartialOrd + std::fmt::Display>(
    key: &'static str,
    value: T,
    least: T,
) -> Result<T, ConfigurationError> {
    if value < least {
        return Err(wrong(key, format!("{value} is less than {least}")));
    }
    Ok(value)
}

fn parsed<T: std::str::FromStr>(key: &'static str, text: &str) -> Result<T, ConfigurationError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| wrong(key, error))
}

fn address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigurationError> {
    let mut found = text
        .to_socket_addrs()
        .map_err(|error| wrong(key, format!("'{text}' is not HOST:PORT ({error})")))?;
    found
        .next()
        .ok_or_else(|| wrong(key, format!("'{text}' names no address")))
}

fn is_local(address: IpAddr) -> bool {
    address.is_loopback()
}

#[cfg(test)]
mod tests;
