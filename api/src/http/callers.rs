//! Refuses requests that a foreign web page makes a visitor's browser send, by their `Origin` and
//! their `Host`. A server without a key can't distinguish them otherwise.
//!
//! A browser lets any page send a form or plain text to any address and open WebSockets to it, so
//! a request that changes something has to come from a page of this server ([`check_origin`]). If
//! a page's host name is pointed at this machine after the page was loaded (DNS rebinding), the
//! browser takes the page for one of this server, so the host has to be this server's ([`Hosts`]).

use std::net::{IpAddr, SocketAddr};

use crate::http::error::ApiError;

/// Stands for any name or any origin in a setting.
const ANY: &str = "*";

/// The hosts that requests may be sent to, without their ports.
#[derive(Debug, Clone)]
pub struct Hosts {
    every: bool,
    every_address: bool,
    addresses: Vec<IpAddr>,
    names: Vec<String>,
}

impl Hosts {
    /// For a server that has a key.
    pub fn every() -> Self {
        Self {
            every: true,
            every_address: true,
            addresses: Vec::new(),
            names: Vec::new(),
        }
    }

    /// `localhost`, loopback addresses, the addresses `listening`, and those `named`. A server
    /// that listens on every address of the machine accepts any address, since the machine's
    /// addresses may change. That is safe: others can point a name here, but not an address.
    pub fn of(listening: impl Iterator<Item = SocketAddr>, named: &[String]) -> Self {
        let mut hosts = Self {
            every: named.iter().any(|name| name == ANY),
            every_address: false,
            addresses: listening.map(|address| address.ip()).collect(),
            names: Vec::new(),
        };
        hosts.every_address = hosts.addresses.iter().any(IpAddr::is_unspecified);
        for name in named {
            match host_of(name) {
                Some(Host::Address(address)) => hosts.addresses.push(address),
                Some(Host::Name(name)) => hosts.names.push(name),
                None => {}
            }
        }
        hosts
    }

    /// Whether `host`, with or without a port, is one of them.
    fn includes(&self, host: &str) -> bool {
        if self.every {
            return true;
        }
        match host_of(host) {
            // Whoever connects to an unspecified address reaches its own machine.
            Some(Host::Address(address)) => {
                self.every_address
                    || address.is_loopback()
                    || address.is_unspecified()
                    || self.addresses.contains(&address)
            }
            Some(Host::Name(name)) => {
                name == "localhost" || name.ends_with(".localhost") || self.names.contains(&name)
            }
            None => false,
        }
    }

    /// # Errors
    /// One of `hosts`, a request's `Host` and authority, is not allowed.
    pub(crate) fn check<'a>(
        &self,
        mut hosts: impl Iterator<Item = &'a str>,
    ) -> Result<(), ApiError> {
        match hosts.find(|host| !self.includes(host)) {
            Some(host) => Err(ApiError::ForeignHost(host.to_owned())),
            None => Ok(()),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Host {
    Address(IpAddr),
    /// In lower case, without a trailing dot.
    Name(String),
}

/// Parses `host`, `host:port` or `[v6]:port`.
fn host_of(text: &str) -> Option<Host> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        return (rest.is_empty() || is_port(rest.strip_prefix(':')?))
            .then(|| address.parse().ok().map(canonical).map(Host::Address))?;
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Host::Address(canonical(address)));
    }
    let host = match text.split_once(':') {
        Some((host, port)) if is_port(port) => host,
        Some(_) => return None,
        None => text,
    };
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(Host::Address(canonical(address)));
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    (!name.is_empty() && !name.contains(['@', '/', ' '])).then_some(Host::Name(name))
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// `::ffff:127.0.0.1` is `127.0.0.1`.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The headers by which a browser describes the page that sent a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sender<'a> {
    pub origin: Option<&'a [u8]>,
    /// `Sec-Fetch-Site`, which a page can't set.
    pub site: Option<&'a [u8]>,
}

/// Refuses the request of a page of another origin, unless `allowed` lists the origin. Programs
/// other than browsers send neither header.
///
/// `Sec-Fetch-Site` takes precedence: behind a proxy that changes `Host`, the origin can't be
/// compared with it. Browsers do not send it over plain HTTP to other machines.
pub(crate) fn check_origin(
    sender: Sender<'_>,
    host: Option<&str>,
    allowed: &[String],
) -> Result<(), ApiError> {
    let origin = sender.origin.map(|origin| String::from_utf8_lossy(origin));
    let is_named = allowed
        .iter()
        .any(|one| one == ANY || Some(one.as_str()) == origin.as_deref());
    let is_own = match (sender.site, &origin) {
        (Some(b"same-origin" | b"none"), _) | (None, None) => true,
        (Some(_), _) => false,
        (None, Some(origin)) => origin.split_once("://").is_some_and(|(_, of)| {
            host.is_some_and(|host| of.eq_ignore_ascii_case(host) && !of.is_empty())
        }),
    };
    if is_own || is_named {
        return Ok(());
    }
    Err(ApiError::ForeignOrigin(match origin {
        Some(origin) => origin.into_owned(),
        None => "another site".to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listening: &str, named: &[&str]) -> Hosts {
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        Hosts::of([listening.parse().unwrap()].into_iter(), &named)
    }

    #[test]
    fn a_local_server_accepts_its_own_names() {
        let local = hosts("127.0.0.1:8080", &["search.example.org", "10.1.2.3"]);
        for host in [
            "localhost",
            "localhost:8080",
            "LOCALHOST.:9",
            "clipdb.localhost:8080",
            "127.0.0.1",
            "127.8.8.8:8080",
            "[::1]:8080",
            "[::1]",
            "[::ffff:127.0.0.1]:1",
            "0.0.0.0:8080",
            "search.example.org:443",
            "Search.Example.org",
            "10.1.2.3:8080",
        ] {
            assert!(local.includes(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "evil.example@localhost",
            "localhost:8080@evil.example",
            "192.168.1.2:8080",
            "[::1",
            "[::1]x",
            "localhost:x",
            "",
            ":8080",
        ] {
            assert!(!local.includes(host), "{host}");
        }
    }

    #[test]
    fn a_server_on_every_address_accepts_any_address_and_listed_names() {
        for listening in ["0.0.0.0:8080", "[::]:8080"] {
            let open = hosts(listening, &["box.lan:8080"]);
            for host in [
                "192.168.1.2:8080",
                "[2001:db8::1]:8080",
                "localhost",
                "box.lan",
            ] {
                assert!(open.includes(host), "{host}");
            }
            assert!(!open.includes("evil.example:8080"));
        }
        assert!(hosts("192.168.1.2:80", &[]).includes("192.168.1.2"));
        assert!(!hosts("192.168.1.2:80", &[]).includes("192.168.1.3"));
        assert!(hosts("127.0.0.1:80", &["*"]).includes("any.example"));
        assert!(Hosts::every().includes("any.example"));
    }

    fn allows(origin: Option<&str>, site: Option<&str>, allowed: &[&str]) -> bool {
        let allowed: Vec<String> = allowed.iter().map(|one| (*one).to_owned()).collect();
        let sender = Sender {
            origin: origin.map(str::as_bytes),
            site: site.map(str::as_bytes),
        };
        check_origin(sender, Some("localhost:8080"), &allowed).is_ok()
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let own = Some("http://localhost:8080");
        let evil = Some("https://evil.example");
        assert!(allows(None, None, &[]), "no browser");
        assert!(allows(own, None, &[]));
        assert!(allows(own, Some("same-origin"), &[]));
        assert!(allows(None, Some("none"), &[]));
        for origin in [evil, Some("null"), Some("http://localhost:3000"), Some("")] {
            assert!(!allows(origin, None, &[]), "{origin:?}");
            assert!(!allows(origin, Some("cross-site"), &[]), "{origin:?}");
            assert!(!allows(origin, Some("same-site"), &[]), "{origin:?}");
        }
        assert!(!allows(None, Some("cross-site"), &[]));
        assert!(!allows(own, Some("cross-site"), &[]));
        assert!(!allows(evil, None, &["https://mine.example"]));
        for site in [None, Some("cross-site")] {
            assert!(allows(evil, site, &["https://evil.example"]));
            assert!(allows(evil, site, &["*"]));
            assert!(allows(Some("null"), site, &["null"]));
        }
    }
}
