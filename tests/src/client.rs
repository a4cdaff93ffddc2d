//! A client of the REST API that returns every response with its status, headers and body.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::blocking::{RequestBuilder, multipart::Form};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};

#[derive(Clone)]
pub struct Client {
    http: reqwest::blocking::Client,
    base: String,
    key: Option<String>,
}

/// A response of the server.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    request: String,
}

/// One collection of the server.
pub struct Collection<'a> {
    client: &'a Client,
    name: String,
}

impl Client {
    /// `trusted`, in PEM, is a certificate to trust in addition to the system's.
    pub(crate) fn new(base: String, key: Option<String>, trusted: Option<&str>) -> Self {
        let builder = reqwest::blocking::Client::builder()
            .timeout(Duration::from_secs(180))
            .no_proxy();
        let builder = match trusted {
            Some(pem) => {
                let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
                builder.add_root_certificate(certificate)
            }
            None => builder,
        };
        let http = builder.build().unwrap();
        Self { http, base, key }
    }

    /// Another client of the server, with its own connections.
    pub fn of(server: &crate::Server) -> Self {
        let other = server.client();
        Self::new(other.base.clone(), other.key.clone(), None)
    }

    /// A client of the same server with another API key or none.
    pub fn with_key(&self, key: Option<&str>) -> Self {
        Self {
            key: key.map(str::to_owned),
            ..self.clone()
        }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        self.base
            .split_once("://")
            .map_or("", |(_, address)| address)
    }

    /// A request builder; `path` begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path))
    }

    pub fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path))
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body))
    }

    pub fn put(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, path).json(body))
    }

    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PATCH, path).json(body))
    }

    /// Sends any bytes. `kind` is the media type; without it there is no such header.
    pub fn send(
        &self,
        method: Method,
        path: &str,
        kind: Option<&str>,
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let request = self.request(method, path).body(body.into());
        send(match kind {
            Some(kind) => request.header(CONTENT_TYPE, kind),
            None => request,
        })
    }

    /// Does the same; returns an error if there is no response, as when the server was killed.
    pub fn try_send(
        &self,
        method: Method,
        path: &str,
        kind: Option<&str>,
        body: impl Into<Vec<u8>>,
    ) -> reqwest::Result<Answer> {
        let request = self.request(method, path).body(body.into());
        try_send(match kind {
            Some(kind) => request.header(CONTENT_TYPE, kind),
            None => request,
        })
    }

    pub fn form(&self, path: &str, form: Form) -> Answer {
        send(self.request(Method::POST, path).multipart(form))
    }

    /// The collection, which it creates if it does not exist.
    pub fn collection(&self, name: &str) -> Collection<'_> {
        let answer = self.put(&format!("/collections/{name}"), &json!({}));
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        Collection {
            client: self,
            name: name.to_owned(),
        }
    }

    /// The collection, whether it exists or not.
    pub fn existing(&self, name: &str) -> Collection<'_> {
        Collection {
            client: self,
            name: name.to_owned(),
        }
    }

    /// The value of a counter or gauge of `/metrics`, summed over its labels; 0 if there is none.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").expect(200).text();
        let samples = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (sample, value) = line.rsplit_once(' ')?;
                (sample.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok())?
            });
        samples.sum()
    }
}

pub fn send(request: RequestBuilder) -> Answer {
    try_send(request).unwrap_or_else(|error| panic!("no response: {error:?}"))
}

fn try_send(request: RequestBuilder) -> reqwest::Result<Answer> {
    let (client, request) = request.build_split();
    let request = request?;
    let line = format!("{} {}", request.method(), request.url().path());
    let response = client.execute(request)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer {
        status,
        headers,
        body: response.bytes()?.into(),
        request: line,
    })
}

impl Answer {
    /// Requires this status; returns the response.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Requires a well-formed problem with this status and code; returns it.
    pub fn expect_problem(self, status: u16, code: &str) -> Value {
        let problem = self.expect_kind(status, "application/problem+json").json();
        assert_eq!(problem["code"], code, "{problem:#}");
        assert_eq!(problem["status"], status, "{problem:#}");
        for field in ["type", "title", "detail"] {
            assert!(
                problem[field].as_str().is_some_and(|text| !text.is_empty()),
                "'{field}': {problem:#}"
            );
        }
        problem
    }

    /// Requires this status and media type; returns the response.
    pub fn expect_kind(self, status: u16, kind: &str) -> Self {
        let answer = self.expect(status);
        let given = answer.header("content-type").unwrap_or("");
        assert_eq!(given.split(';').next(), Some(kind), "{answer:?}");
        answer
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let body: String = body.chars().take(2_000).collect();
        write!(
            formatter,
            "{} returned {}: {body}",
            self.request, self.status
        )
    }
}

impl Collection<'_> {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `/collections/NAME` followed by `rest`.
    pub fn path(&self, rest: &str) -> String {
        format!("/collections/{}{rest}", self.name)
    }

    pub fn document_path(&self, id: &str) -> String {
        self.path(&format!("/documents/{}", escaped(id)))
    }

    /// Adds one document or an array. All have to succeed.
    pub fn add(&self, documents: &Value) -> Value {
        let answer = self
            .client
            .post(&self.path("/documents"), documents)
            .expect(200)
            .json();
        assert_eq!(answer["failed"], 0, "{answer:#}");
        answer
    }

    pub fn document(&self, id: &str) -> Answer {
        self.client.get(&self.document_path(id))
    }

    pub fn image(&self, id: &str) -> Answer {
        self.client
            .get(&format!("{}/image", self.document_path(id)))
    }

    pub fn summary(&self) -> Value {
        self.client.get(&self.path("")).expect(200).json()
    }

    /// The report whether its documents and indexes agree.
    pub fn check(&self) -> Value {
        self.client.get(&self.path("/check")).expect(200).json()
    }

    pub fn search(&self, query: &Value) -> Answer {
        self.client.post(&self.path("/search"), query)
    }

    pub fn hits(&self, query: &Value) -> Vec<Value> {
        match self.search(query).expect(200).json()["hits"].take() {
            Value::Array(hits) => hits,
            other => panic!("'hits' is {other}"),
        }
    }

    /// The ids of a search's hits, best first.
    pub fn ids(&self, query: &Value) -> Vec<String> {
        self.hits(query).iter().map(id).collect()
    }

    /// All documents in the order of the list, requested in pages of `page`.
    pub fn list(&self, page: usize) -> Vec<Value> {
        let mut documents = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = self.path(&format!("/documents?limit={page}{cursor}"));
            let mut answer = self.client.get(&path).expect(200).json();
            documents.append(answer["documents"].as_array_mut().unwrap());
            match answer["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return documents,
            }
        }
    }
}

fn id(document: &Value) -> String {
    document["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id: {document}"))
        .to_owned()
}

/// An id, percent-encoded as one segment of a path.
pub fn escaped(id: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    id.bytes()
        .map(|byte| {
            if plain(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

impl Client {
    /// The `image` of a document or query.
    pub fn image(bytes: &[u8]) -> Value {
        json!({ "base64": STANDARD.encode(bytes) })
    }
}
