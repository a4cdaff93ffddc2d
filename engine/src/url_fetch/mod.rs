//! Pictures that a document or a query names by URL, fetched where the settings allow it.
//!
//! Whoever may send a document could otherwise make the server ask for things that only
//! the server reaches: its own ports, its network, a cloud's metadata address. So a fetch
//! goes to public addresses alone, checked after the name is resolved and again at every
//! redirection, through no proxy; hosts of a private network are named in the settings.
//!
//! A document by URL is small when it is admitted and large once its picture is here, so what
//! was fetched has a share of memory of its own, until the last of its bytes is let go.

mod address;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, Url, redirect};

use crate::error::EngineError;
use crate::memory_budget::Memory;

const REDIRECTIONS: usize = 5;
const CONNECT: Duration = Duration::from_secs(10);
/// For the whole of a fetch, so that no server can hold one open by dribbling.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether and from where pictures are fetched.
#[derive(Debug, Clone, Default)]
pub struct UrlIngestSettings {
    /// Off unless set: then a URL is an error that says so.
    pub enabled: bool,
    /// Host names and addresses that may be fetched from though they are not public.
    pub allow: Vec<String>,
    /// The largest picture, in bytes.
    pub max_bytes: usize,
}

/// Fetches pictures.
pub struct Fetcher {
    client: Client,
    hosts: Arc<Hosts>,
    max_bytes: usize,
    memory: Memory,
}

/// Which hosts may be asked.
struct Hosts {
    allowed: Vec<String>,
}

impl Fetcher {
    /// `None` where the settings say no. What is fetched, and in use yet, takes up to `memory`
    /// bytes, or a single picture.
    pub fn new(settings: &UrlIngestSettings, memory: usize) -> Result<Option<Self>, EngineError> {
        if !settings.enabled {
            return Ok(None);
        }
        let allowed = settings.allow.iter().map(|host| host.to_lowercase());
        let hosts = Arc::new(Hosts {
            allowed: allowed.collect(),
        });
        let at_redirection = Arc::clone(&hosts);
        let client = Client::builder()
            .dns_resolver(Arc::new(PublicNames(Arc::clone(&hosts))))
            .redirect(redirect::Policy::custom(move |attempt| {
                if attempt.previous().len() > REDIRECTIONS {
                    attempt.error(format!("it is redirected more than {REDIRECTIONS} times"))
                } else if let Err(reason) = at_redirection.check(attempt.url()) {
                    attempt.error(reason)
                } else {
                    attempt.follow()
                }
            }))
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(PATIENCE)
            .user_agent(concat!("clipdb/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| EngineError::UrlClient(error.to_string()))?;
        Ok(Some(Self {
            client,
            hosts,
            max_bytes: settings.max_bytes,
            memory: Memory::new(memory),
        }))
    }

    /// The bytes at `url`. Waits until there is memory for the largest that they may be, in the
    /// order of the calls: documents of one request are stored in their order, so that a later
    /// one must not hold what an earlier one waits for.
    ///
    /// # Errors
    /// Not http or https, a host that is not public, no answer, an answer other than
    /// success, or too many bytes.
    pub async fn fetch(&self, url: &str) -> Result<Bytes, EngineError> {
        let refused = |reason: String| EngineError::UrlRefused {
            url: url.to_owned(),
            reason,
        };
        let parsed = Url::parse(url).map_err(|error| refused(format!("it is no URL ({error})")))?;
        self.hosts.check(&parsed).map_err(refused)?;
        let share = self.memory.share(self.max_bytes).await?;
        let failed = |error: reqwest::Error| EngineError::UrlNotFetched {
            url: url.to_owned(),
            reason: innermost(&error),
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
            what: "the picture at the URL",
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

/// What lies under reqwest's own words, which only say that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

impl Hosts {
    /// Whether such a URL may be asked for, as far as it can be told before its name is
    /// resolved; the reason if not.
    fn check(&self, url: &Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("'{}' is neither http nor https", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it holds a user's name or password".to_owned());
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

/// The system's resolver, less the addresses that may not be asked.
struct PublicNames(Arc<Hosts>);

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        let hosts = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str();
            let mut refusal = None;
            let mut kept: Vec<SocketAddr> = Vec::new();
            for address in tokio::net::lookup_host((host, 0)).await? {
                match hosts.check_address(host, address.ip()) {
                    Ok(()) => kept.push(address),
                    Err(reason) => refusal = Some(reason),
                }
            }
            match refusal {
                Some(reason) if kept.is_empty() => Err(reason.into()),
                _ => Ok(Box::new(kept.into_iter()) as Addrs),
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
    fn only_public_addresses_are_asked() {
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
    async fn names_are_checked_once_they_are_resolved() {
        let resolve = |allowed: &[&str]| {
            PublicNames(Arc::new(hosts(allowed))).resolve("localhost".parse().unwrap())
        };
        let refusal = resolve(&[]).await.err().unwrap().to_string();
        assert!(refusal.contains("not a public address"), "{refusal}");
        assert!(resolve(&["localhost"]).await.unwrap().next().is_some());
    }
}
