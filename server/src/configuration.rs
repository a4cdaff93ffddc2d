//! The server's configuration. Each setting is a flag, an environment variable `CLIPDB_…` and a key
//! of the TOML file under one name. Flags take precedence over the environment, and the environment
//! over the file. An invalid value is reported at startup with the name of its key.
//!
//! | module | |
//! |---|---|
//! | `settings` | the settings as they are given |
//! | `defaults` | the values of those that are not given |
//! | `listeners`, `inference`, `models`, `database`, `requests` | each resolves a group of settings |
//! | `key` | reads the API key |
//! | `value`, `error` | checks of single values and how they fail |

mod database;
pub mod defaults;
mod error;
mod inference;
mod key;
mod listeners;
mod models;
mod requests;
mod settings;
#[cfg(test)]
mod tests;
mod value;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use clipdb_api::engine::EngineSettings;
use clipdb_api::{HttpSettings, TlsIdentity};

pub use error::ConfigurationError;
pub use models::{ModelChoice, ModelConfiguration};
use settings::Settings;
use value::at_least_or;

#[derive(Args)]
pub struct ServeArguments {
    /// TOML file with any of the settings below, under their long names with '_' for '-'
    #[arg(long, env = "CLIPDB_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// A complete and valid configuration.
#[derive(Debug, Clone)]
pub struct Configuration {
    pub listen: SocketAddr,
    pub grpc: Option<SocketAddr>,
    pub tls: Option<TlsIdentity>,
    /// The first is the default.
    pub models: ModelChoice,
    pub model_cache: PathBuf,
    pub engine: EngineSettings,
    pub rest: HttpSettings,
    pub search_threads: NonZeroUsize,
    pub index_threads: NonZeroUsize,
    pub workers: usize,
    pub log: String,
    pub otlp: Option<String>,
}

impl ServeArguments {
    /// The configuration that flags, environment, file and defaults result in.
    pub fn resolve(self) -> Result<Configuration, ConfigurationError> {
        let settings = match &self.config {
            Some(path) => self.settings.over(read_file(path)?, path)?,
            None => self.settings,
        };
        settings.resolve()
    }
}

fn read_file(path: &Path) -> Result<Settings, ConfigurationError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigurationError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|error| invalid_file(path, &error))
}

fn invalid_file(path: &Path, error: &dyn std::error::Error) -> ConfigurationError {
    ConfigurationError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

impl Settings {
    /// These settings, and those of `file` where these are absent.
    fn over(self, mut file: Self, path: &Path) -> Result<Self, ConfigurationError> {
        self.keep_models(&mut file)?;
        if self.api_key.is_some() || self.api_key_file.is_some() {
            (file.api_key, file.api_key_file) = (None, None);
        }
        let mut merged = toml::Table::try_from(file).map_err(|error| invalid_file(path, &error))?;
        merged.extend(toml::Table::try_from(self).map_err(|error| invalid_file(path, &error))?);
        merged
            .try_into()
            .map_err(|error| invalid_file(path, &error))
    }

    fn resolve(self) -> Result<Configuration, ConfigurationError> {
        let cores = defaults::cores();
        let listeners = self.listeners()?;
        let model_cache = (self.model_cache.clone()).unwrap_or_else(defaults::model_cache);
        let encoder = self.encoder(&model_cache)?;
        Ok(Configuration {
            listen: listeners.http,
            grpc: listeners.grpc,
            tls: listeners.tls,
            rest: self.requests(listeners.api_key, listeners.hosts)?,
            models: self.models(&encoder, cores)?,
            model_cache,
            engine: self.database(&encoder)?,
            search_threads: threads("threads", self.threads, cores)?,
            index_threads: threads("index_threads", self.index_threads, cores)?,
            workers: cores.max(2),
            log: self.log.unwrap_or_else(|| defaults::LOG.to_owned()),
            otlp: self.otlp,
        })
    }
}

fn threads(
    key: &'static str,
    given: Option<usize>,
    cores: usize,
) -> Result<NonZeroUsize, ConfigurationError> {
    let threads = at_least_or(key, given, 1, cores)?;
    Ok(NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN))
}
