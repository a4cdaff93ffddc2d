//! Fetches images that a document or a query refers to by URL, if the settings allow it.
//!
//! Without restrictions, a client could make the server request URLs that only the server reaches
//! (server-side request forgery): its own ports, its network, a cloud's metadata service. So images
//! are only fetched from public addresses, checked after the host name is resolved and again at
//! every redirect, and never through a proxy. The settings can allow hosts of a private network.
//!
//! A document with a URL is small when it is admitted and large once its image is fetched, so
//! fetched images have their own memory budget, charged until the last of their bytes is dropped.

mod address;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, Url, redirect};

use crate::error::EngineError;
use crate::memory_budget::MemoryBudget;

/// The most redirects that are followed.
const REDIRECTS: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of a complete fetch, so that a slow server cannot keep it open.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether and from where images are fetched.
#[derive(Debug, Clone, Default)]
pub struct UrlIngestSettings {
    /// Whether URLs are fetched at all; if not, a URL is an error.
    pub enabled: bool,
    /// Host names and addresses that may be fetched from although they are not public.
    pub allow: Vec<String>,
    /// The largest image, in bytes.
    pub max_bytes: usize,
}

/// Fetches images by URL.
pub struct Fetcher {
    client: Client,
    hosts: Arc<Hosts>,
    max_bytes: usize,
    memory: MemoryBudget,
}

/// Decides which hosts may be contacted.
struct Hosts {
    allowed: Vec<String>,
}

impl Fetcher {
    /// `None` if URL ingest is disabled. Fetched images in use occupy at most `memory` bytes, or are a
    /// single image.
    ///
    /// # Errors
    /// [`EngineError::UrlClient`] if the HTTP client cannot be created.
    pub fn new(settings: &UrlIngestSettings, memory: usize) -> Result<Option<Self>, EngineError> {
        if !settings.enabled {
            return Ok(None);
        }
        let allowed = settings.allow.iter().map(|host| host.to_lowercase());
        let hosts = Arc::new(Hosts {
            allowed: allowed.collect(),
        });
        let redirect_hosts = Arc::clone(&hosts);
        let client = Client::builder()
            .dns_resolver(Arc::new(PublicNames(Arc::clone(&hosts))))
            .redirect(redirect::Policy::custom(move |attempt| {
                if attempt.previous().len() > REDIRECTS {
                    attempt.error(format!("it redirects more than {REDIRECTS} times"))
                } else if let Err(reason) = redirect_hosts.check(attempt.url()) {
                    attempt.error(reason)
                } else {
                    attempt.follow()
                }
            }))
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(FETCH_TIMEOUT)
            .user_agent(concat!("clipdb/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| EngineError::UrlClient(error.to_string()))?;
        Ok(Some(Self {
            client,
            hosts,
            max_bytes: settings.max_bytes,
            memory: MemoryBudget::new(memory),
        }))
    }

    /// The bytes at `url`. First waits for the memory of the largest allowed image, in the order of
    /// the calls: the documents of a request are stored in order, so a later one must not hold
    /// memory that an earlier one waits for.
    ///
    /// # Errors
    /// [`EngineError::UrlRefused`] if the URL is not http or https or its host is not public,
    /// [`EngineError::UrlNotFetched`] if the server does not answer with success,
    /// [`EngineError::TooLarge`], or [`EngineError::Overloaded`].
    pub async fn fetch(&self, url: &str) -> Result<Bytes, EngineError> {
        let refused = |reason: String| EngineError::UrlRefused {
            url: url.to_owned(),
            reason,
        };
        let parsed =
            Url::parse(url).map_err(|error| refused(format!("it is not a valid URL ({error})")))?;
        self.hosts.check(&parsed).map_err(refused)?;
        let share = self.memory.share(self.max_bytes).await?;
        let failed = |error: reqwest::Error| EngineError::UrlNotFetched {
            url: url.to_owned(),
            reason: root_cause(&error),
        };
        let response = self.client.get(parsed).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(EngineError::UrlNotFetched {
                url: url.to_owned(),
                reason: format!("the server answered {}", response.status()),
            });
        }
        let bytes = self.read(response).await?.map_err(failed)?;
        Ok(share.held_by(bytes))
    }

    async fn read(&self, mut response: Response) -> Result<reqwest::Result<Bytes>, EngineError> {
        let too_large = EngineError::TooLarge {
            what: "the image at the URL",
            limit: self.max_bytes as u64,
            setting: "max_url_bytes",
        };
        if response.content_length() > Some(self.max_bytes as u64) {
            return Err(too_large);
        }
        let mut bytes = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() > self.max_bytes => {
                    return Err(too_large);
                }
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(Ok(bytes.freeze())),
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

/// The root cause of `error`: reqwest's own message only says that a request failed.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl Hosts {
    /// Validates a URL before its host name is resolved; returns the reason if it is refused.
    fn check(&self, url: &Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("'{}' is neither http nor https", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it contains a user name or password".to_owned());
        }
        let host = url.host_str().ok_or("it has no host")?;
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => self.check_address(host, address),
            Err(_) => Ok(()),
        }
    }

    fn check_address(&self, host: &str, address: IpAddr) -> Result<(), String> {
        if address::is_public(address) || self.allows(host) {
            return Ok(());
        }
        Err(format!(
            "{address} is not a public address; the setting 'url_ingest_allow' can name '{host}'"
        ))
    }

    fn allows(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']);
        self.allowed.iter().any(|allowed| allowed == host)
    }
}

/// The system's resolver, without the addresses that may not be contacted.
struct PublicNames(Arc<Hosts>);

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        let hosts = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str();
            let mut refusal = None;
            let mut allowed: Vec<SocketAddr> = Vec::new();
            for address in tokio::net::lookup_host((host, 0)).await? {
                match hosts.check_address(host, address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(reason) => refusal = Some(reason),
                }
            }
            match refusal {
                Some(reason) if allowed.is_empty() => Err(reason.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(allowed: &[&str]) -> Hosts {
        Hosts {
            allowed: allowed.iter().map(|host| (*host).to_owned()).collect(),
        }
    }

    fn check(allowed: &[&str], url: &str) -> Result<(), String> {
        hosts(allowed).check(&Url::parse(url).unwrap())
    }

    #[test]
    fn only_public_addresses_are_contacted() {
        assert!(check(&[], "https://example.org/a.png").is_ok());
        assert!(check(&[], "http://93.184.215.14/a.png").is_ok());
        for url in [
            "ftp://example.org/a.png",
            "file:///etc/passwd",
            "http://user:pass@example.org/",
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0.0.0.0/",
            "http://169.254.169.254/latest/meta-data",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
        ] {
            assert!(check(&[], url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_private_host_can_be_allowed() {
        assert!(check(&["10.0.0.1"], "http://10.0.0.1:81/a").is_ok());
        assert!(check(&["::1"], "http://[::1]/a").is_ok());
        assert!(check(&["10.0.0.1"], "http://10.0.0.2/a").is_err());
    }

    #[tokio::test]
    async fn host_names_are_checked_after_resolution() {
        let resolve = |allowed: &[&str]| {
            PublicNames(Arc::new(hosts(allowed))).resolve("localhost".parse().unwrap())
        };
        let refusal = resolve(&[]).await.err().unwrap().to_string();
        assert!(refusal.contains("not a public address"), "{refusal}");
        assert!(resolve(&["localhost"]).await.unwrap().next().is_some());
    }
}
