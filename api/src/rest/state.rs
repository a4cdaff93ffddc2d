//! What every handler shares: the engine once it is open, and the door's settings.

use std::future::{Ready, ready};
use std::sync::{Arc, OnceLock};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use parking_lot::RwLock;

use crate::engine::{Engine, Statistics};
use crate::error::ApiError;

#[derive(Debug, Clone)]
pub struct RestSettings {
    pub api_key: Option<ApiKey>,
    /// Origins that browsers may call from; `*` is any. Empty: only the server's own page.
    pub cors_origins: Vec<String>,
    /// The largest body that is read whole (JSON, multipart), in bytes.
    pub max_body_bytes: usize,
    /// The longest line of NDJSON, in bytes.
    pub max_line_bytes: usize,
}

impl Default for RestSettings {
    fn default() -> Self {
        Self {
            api_key: None,
            cors_origins: Vec::new(),
            max_body_bytes: 128 << 20,
            max_line_bytes: 48 << 20,
        }
    }
}

/// A key that is never printed and is compared in constant time.
#[derive(Clone)]
pub struct ApiKey(Arc<[u8]>);

impl ApiKey {
    pub fn new(key: &str) -> Self {
        Self(key.as_bytes().into())
    }

    pub fn matches(&self, given: &str) -> bool {
        let given = given.as_bytes();
        let same_length = given.len() == self.0.len();
        let differing = self
            .0
            .iter()
            .zip(given)
            .fold(0u8, |all, (ours, theirs)| all | (ours ^ theirs));
        same_length && differing == 0
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ApiKey(…)")
    }
}

pub struct RestState {
    engine: OnceLock<Arc<Engine>>,
    stage: RwLock<&'static str>,
    pub settings: RestSettings,
    pub statistics: Arc<Statistics>,
}

impl RestState {
    pub fn new(settings: RestSettings, statistics: Arc<Statistics>) -> Self {
        Self {
            engine: OnceLock::new(),
            stage: RwLock::new("loading"),
            settings,
            statistics,
        }
    }

    /// Says what the start is at, for those who ask before it is done.
    pub fn starting(&self, stage: &'static str) {
        *self.stage.write() = stage;
    }

    /// The server is ready from now on.
    pub fn opened(&self, engine: Arc<Engine>) {
        if self.engine.set(engine).is_err() {
            tracing::error!("the engine was opened twice; the first one stays");
        }
    }

    pub fn engine(&self) -> Result<Arc<Engine>, ApiError> {
        self.engine
            .get()
            .cloned()
            .ok_or_else(|| ApiError::Starting((*self.stage.read()).to_owned()))
    }
}

/// Extracts the open engine; a server that is still starting answers 503.
pub(super) struct Open(pub(super) Arc<Engine>);

impl FromRequest for Open {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let engine = match request.app_data::<web::Data<RestState>>() {
            Some(state) => state.engine(),
            None => Err(ApiError::Starting("no state".to_owned())),
        };
        ready(engine.map(Open))
    }
}
