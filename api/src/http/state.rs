//! The state that handlers share: the engine once it is open, and the listeners' settings.

use std::future::{Ready, ready};
use std::sync::{Arc, OnceLock};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use parking_lot::RwLock;
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::http::base_path::BasePath;
use crate::http::callers::Hosts;
use crate::http::error::ApiError;
use crate::http::pace::Pace;
use clipdb_engine::{CollectionName, Engine, Statistics};

#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub api_key: Option<ApiKey>,
    /// Origins that browsers may call from; `*` is any. Empty: only the server's own page.
    pub cors_origins: Vec<String>,
    /// The hosts that requests may be sent to.
    pub hosts: Hosts,
    /// The path under which a reverse proxy serves the server; links begin with it.
    pub base_path: BasePath,
    /// The largest body that is held in memory (JSON, multipart), in bytes.
    pub max_body_bytes: usize,
    /// The longest line of NDJSON, in bytes.
    pub max_line_bytes: usize,
    /// How slowly a client may send.
    pub pace: Pace,
    pub clip_as_service: ClipAsServiceSettings,
}

impl HttpSettings {
    /// Whether the `Authorization` header `given` is valid: `Bearer KEY`, and if `bare`, the key
    /// alone, which CLIP-as-service's clients send. Every request is if no key is set.
    pub fn admits(&self, given: Option<&str>, bare: bool) -> bool {
        let Some(key) = &self.api_key else {
            return true;
        };
        given.is_some_and(|given| {
            let bearer = given
                .split_once(' ')
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
                .map(|(_, token)| token.trim());
            bearer.is_some_and(|token| key.matches(token)) || (bare && key.matches(given.trim()))
        })
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            api_key: None,
            cors_origins: Vec::new(),
            hosts: Hosts::every(),
            base_path: BasePath::default(),
            max_body_bytes: 128 << 20,
            max_line_bytes: 48 << 20,
            pace: Pace::default(),
            clip_as_service: ClipAsServiceSettings::default(),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct ClipAsServiceSettings {
    /// Where `/index` and `/search` go unless a request's parameter says otherwise.
    pub collection: CollectionName,
    /// Vectors of length 1, as in the REST API; CLIP-as-service returns them as the model does.
    pub normalise: bool,
}

/// A key that is never printed and is compared in constant time.
#[derive(Clone)]
pub struct ApiKey(Arc<[u8]>);

impl ApiKey {
    pub fn new(key: &str) -> Self {
        Self(key.as_bytes().into())
    }

    pub fn matches(&self, given: &str) -> bool {
        self.0.ct_eq(given.as_bytes()).into()
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ApiKey(…)")
    }
}

pub struct HttpState {
    engine: OnceLock<Arc<Engine>>,
    stage: RwLock<&'static str>,
    stopping: watch::Sender<bool>,
    pub settings: HttpSettings,
    pub statistics: Arc<Statistics>,
}

impl HttpState {
    pub fn new(settings: HttpSettings, statistics: Arc<Statistics>) -> Self {
        Self {
            engine: OnceLock::new(),
            stage: RwLock::new("loading"),
            stopping: watch::Sender::new(false),
            settings,
            statistics,
        }
    }

    /// Sets the stage of the startup, which requests get until it is done.
    pub fn starting(&self, stage: &'static str) {
        *self.stage.write() = stage;
    }

    /// Makes the server ready.
    pub fn opened(&self, engine: Arc<Engine>) {
        if self.engine.set(engine).is_err() {
            tracing::error!("the engine was opened twice; the first one stays");
        }
    }

    /// Open streams accept no more requests.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Completes when the server is asked to stop.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.stopping.subscribe();
        async move {
            // An error means that the state was dropped, and the server with it.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }
    }

    pub fn engine(&self) -> Result<Arc<Engine>, ApiError> {
        self.engine
            .get()
            .cloned()
            .ok_or_else(|| ApiError::Starting((*self.stage.read()).to_owned()))
    }
}

/// The base path of the server that received `request`.
pub(crate) fn base_path(request: &HttpRequest) -> BasePath {
    request
        .app_data::<web::Data<HttpState>>()
        .map(|state| state.settings.base_path.clone())
        .unwrap_or_default()
}

/// Extracts the open engine; a server that is still starting responds with 503.
pub(crate) struct Open(pub(crate) Arc<Engine>);

impl FromRequest for Open {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let engine = match request.app_data::<web::Data<HttpState>>() {
            Some(state) => state.engine(),
            None => Err(ApiError::Starting("no state".to_owned())),
        };
        ready(engine.map(Open))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_accepted_as_a_bearer_token_or_bare() {
        let settings = HttpSettings {
            api_key: Some(ApiKey::new("secret")),
            ..HttpSettings::default()
        };
        for (given, as_bearer, as_bare) in [
            (Some("Bearer secret"), true, true),
            (Some("bearer  secret "), true, true),
            (Some("secret"), false, true),
            (Some(" secret "), false, true),
            (Some("Basic secret"), false, false),
            (Some("Bearer secre"), false, false),
            (Some("Bearer secrets"), false, false),
            (Some("Bearer Secret"), false, false),
            (Some("Bearer "), false, false),
            (Some(""), false, false),
            (None, false, false),
        ] {
            assert_eq!(settings.admits(given, false), as_bearer, "{given:?}");
            assert_eq!(settings.admits(given, true), as_bare, "{given:?}");
        }
        assert!(HttpSettings::default().admits(None, false));
        assert_eq!(format!("{:?}", ApiKey::new("secret")), "ApiKey(…)");
    }
}
