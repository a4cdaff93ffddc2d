//! The HTTP client of one server: its address, the API key, and retries while the server starts or
//! is overloaded.

use super::{ClientError, ServerArguments};
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use std::error::Error;
use std::time::{Duration, Instant};

/// How long requests to a starting, restarting or overloaded server are retried.
const RETRY_FOR: Duration = Duration::from_secs(60);
const MIN_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// A batch of images takes minutes on a large model and a slow CPU.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(600);
/// For a large archive over a slow connection.
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Whether a request is retried while no server accepts connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RetryConnect {
    Yes,
    No,
}

#[derive(Debug)]
pub struct Connection {
    http: Client,
    base: Url,
    collection: String,
}

/// The fields of an `application/problem+json` body that are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    pub title: String,
    pub detail: String,
    pub code: String,
    pub status: u16,
}

impl Problem {
    /// Whether the same request may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(self.status, 429 | 503)
    }

    /// The most specific description that the server gave.
    pub fn description(&self) -> &str {
        [&self.detail, &self.title, &self.code]
            .into_iter()
            .find(|text| !text.is_empty())
            .map_or("no reason given", String::as_str)
    }
}

impl Connection {
    /// Connects to the server and waits until it is ready.
    ///
    /// # Errors
    /// `NotRunning` immediately if nothing listens at the address; `NotReady` after a minute.
    pub fn open(arguments: &ServerArguments) -> Result<Self, ClientError> {
        let connection = Self::new(arguments)?;
        match connection.send_with_retries(
            || connection.http.get(connection.url(&["ready"])),
            RetryConnect::No,
        ) {
            Ok(_) => Ok(connection),
            Err(ClientError::Refused {
                status: 503,
                detail,
                ..
            }) => Err(ClientError::NotReady {
                server: connection.server(),
                seconds: RETRY_FOR.as_secs(),
                detail,
            }),
            Err(ClientError::Refused { status, .. }) => Err(ClientError::NotClipdb {
                server: connection.server(),
                detail: format!("GET /ready returns {status}"),
            }),
            Err(error) => Err(error),
        }
    }

    fn new(arguments: &ServerArguments) -> Result<Self, ClientError> {
        let address = &arguments.address;
        let base = parse_address(&address.server)?;
        let mut headers = HeaderMap::new();
        if let Some(key) = &address.api_key {
            let mut bearer =
                HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| ClientError::Key)?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let mut http = Client::builder()
            .default_headers(headers)
            .connect_timeout(Duration::from_secs(10))
            .timeout(RESPONSE_TIMEOUT);
        if is_loopback(&base) {
            http = http.no_proxy();
        }
        let http = http
            .build()
            .map_err(|source| ClientError::Setup { source })?;
        Ok(Self {
            http,
            base,
            collection: arguments.collection.clone(),
        })
    }

    pub fn collection(&self) -> &str {
        &self.collection
    }

    pub fn server(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// Creates the collection with the server's defaults unless it exists.
    pub fn ensure_collection(&self) -> Result<(), ClientError> {
        let url = self.collection_url(&[]);
        match self.request(|| self.http.get(url.clone())) {
            Err(ClientError::NoCollection { .. }) => self
                .request(|| self.http.put(url.clone()).json(&serde_json::json!({})))
                .map(drop),
            other => other.map(drop),
        }
    }

    pub fn has_document(&self, id: &str) -> Result<bool, ClientError> {
        let url = self.collection_url(&["documents", id]);
        match self.request(|| self.http.get(url.clone())) {
            Ok(_) => Ok(true),
            Err(ClientError::Refused { status: 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends documents; `build` adds the body to the request, once per attempt.
    pub fn post_documents(
        &self,
        build: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Value, ClientError> {
        let url = self.collection_url(&["documents"]);
        self.request(|| build(self.http.post(url.clone())))
    }

    pub fn search(&self, query: &Value) -> Result<Value, ClientError> {
        let url = self.collection_url(&["search"]);
        self.request(|| self.http.post(url.clone()).json(query))
    }

    /// Starts a snapshot of the collection and returns its task.
    pub fn start_snapshot(&self) -> Result<Value, ClientError> {
        let mut url = self.collection_url(&["snapshots"]);
        url.set_query(Some("wait=false"));
        self.request(|| self.http.post(url.clone()))
    }

    /// The current state of a task.
    pub fn task(&self, id: &str) -> Result<Value, ClientError> {
        let url = self.url(&["tasks", id]);
        self.request(|| self.http.get(url.clone()))
    }

    /// Requests a snapshot's archive; the response streams its bytes.
    pub fn download_snapshot(&self, id: &str) -> Result<Response, ClientError> {
        let url = self.collection_url(&["snapshots", id]);
        self.send_with_retries(
            || self.http.get(url.clone()).timeout(ARCHIVE_TIMEOUT),
            RetryConnect::Yes,
        )
    }

    pub fn remove_snapshot(&self, id: &str) -> Result<(), ClientError> {
        let url = self.collection_url(&["snapshots", id]);
        self.send_with_retries(|| self.http.delete(url.clone()), RetryConnect::Yes)
            .map(drop)
    }

    /// Sends an archive, without retries, and returns the task that restores it.
    pub fn start_restore(&self, archive: std::fs::File) -> Result<Value, ClientError> {
        let mut url = self.collection_url(&["restore"]);
        url.set_query(Some("wait=false"));
        let request = self
            .http
            .post(url)
            .header(reqwest::header::CONTENT_TYPE, "application/octet-stream")
            .timeout(ARCHIVE_TIMEOUT)
            .body(archive);
        let response = request.send().map_err(|error| self.failure(&error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response));
        }
        response.json().map_err(|error| ClientError::NotClipdb {
            server: self.server(),
            detail: root_cause(&error),
        })
    }

    /// Measures the recall of the collection's index, with these query parameters.
    pub fn recall(
        &self,
        parameters: impl Iterator<Item = (&'static str, u32)>,
    ) -> Result<Value, ClientError> {
        let mut url = self.collection_url(&["recall"]);
        url.query_pairs_mut()
            .extend_pairs(parameters.map(|(name, value)| (name, value.to_string())));
        self.request(|| self.http.get(url.clone()))
    }

    fn request(&self, build: impl Fn() -> RequestBuilder) -> Result<Value, ClientError> {
        let response = self.send_with_retries(build, RetryConnect::Yes)?;
        response.json().map_err(|error| ClientError::NotClipdb {
            server: self.server(),
            detail: root_cause(&error),
        })
    }

    /// Sends the request until the server accepts it. Repeating it is safe: documents carry their
    /// ids.
    fn send_with_retries(
        &self,
        build: impl Fn() -> RequestBuilder,
        retry_connect: RetryConnect,
    ) -> Result<Response, ClientError> {
        let started = Instant::now();
        let mut pause = MIN_PAUSE;
        loop {
            let (error, is_temporary) = match build().send() {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let is_temporary = matches!(
                        response.status(),
                        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
                    );
                    (self.refusal(response), is_temporary)
                }
                Err(error) => {
                    let is_temporary = retry_connect == RetryConnect::Yes
                        && !error.is_timeout()
                        && !error.is_builder();
                    (self.failure(&error), is_temporary)
                }
            };
            if !is_temporary || started.elapsed() + pause > RETRY_FOR {
                return Err(error);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    fn failure(&self, error: &reqwest::Error) -> ClientError {
        if error.is_connect() {
            ClientError::NotRunning {
                server: self.server(),
            }
        } else {
            ClientError::Broken {
                server: self.server(),
                detail: root_cause(error),
            }
        }
    }

    fn refusal(&self, response: Response) -> ClientError {
        let status = response.status().as_u16();
        let problem: Problem = response.json().unwrap_or_default();
        let detail = problem.description().to_owned();
        match (status, problem.code.as_str()) {
            (401, _) => ClientError::Unauthorized {
                server: self.server(),
                detail,
            },
            (404, "collection_not_found") => ClientError::NoCollection {
                collection: self.collection.clone(),
            },
            (_, code) => ClientError::Refused {
                status,
                code: code.to_owned(),
                detail,
            },
        }
    }

    fn collection_url(&self, tail: &[&str]) -> Url {
        let mut path = vec!["collections", &self.collection];
        path.extend_from_slice(tail);
        self.url(&path)
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only a URL without a host has no path, and `parse_address` rejects those.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

/// Parses a URL, or `HOST:PORT` as an http URL.
fn parse_address(server: &str) -> Result<Url, ClientError> {
    let full = if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    };
    Url::parse(&full)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| ClientError::Address {
            server: server.to_owned(),
        })
}

/// Whether the server is on this machine, which a proxy from the environment cannot reach.
fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}

/// The innermost source of the error: reqwest's own message only repeats the URL.
fn root_cause(error: &dyn Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::Address;
    use super::*;

    fn connection(server: &str) -> Connection {
        Connection::new(&ServerArguments {
            address: Address {
                server: server.to_owned(),
                api_key: None,
            },
            collection: "my images".to_owned(),
        })
        .unwrap()
    }

    #[test]
    fn an_address_may_lack_its_scheme_and_carry_a_path() {
        let url = |server: &str| {
            connection(server)
                .collection_url(&["documents"])
                .to_string()
        };
        assert_eq!(
            url("localhost:9000"),
            "http://localhost:9000/collections/my%20images/documents"
        );
        assert_eq!(
            url("https://example.org/clipdb/"),
            "https://example.org/clipdb/collections/my%20images/documents"
        );
    }

    #[test]
    fn invalid_addresses_are_rejected() {
        for server in ["", "ftp://host", "http://", "a b"] {
            assert!(
                matches!(parse_address(server), Err(ClientError::Address { .. })),
                "{server}"
            );
        }
    }

    #[test]
    fn loopback_is_recognised_by_name_and_address() {
        for (server, expected) in [
            ("http://localhost:1", true),
            ("http://127.0.0.2", true),
            ("http://[::1]:8080", true),
            ("http://10.0.0.1", false),
            ("http://example.org", false),
        ] {
            assert_eq!(
                is_loopback(&parse_address(server).unwrap()),
                expected,
                "{server}"
            );
        }
    }

    #[test]
    fn a_server_that_is_not_running_is_reported_immediately() {
        let arguments = ServerArguments {
            address: Address {
                server: "127.0.0.1:1".to_owned(),
                api_key: None,
            },
            collection: "default".to_owned(),
        };
        let started = Instant::now();
        let error = Connection::open(&arguments).unwrap_err();
        assert!(error.to_string().contains("clipdb serve"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
