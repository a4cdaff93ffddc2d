//! Resolves the addresses that the server listens on, and the access to them.

use std::net::SocketAddr;

use clipdb_api::{ApiKey, Hosts, TlsIdentity};

use super::error::{ConfigurationError, invalid_setting};
use super::settings::Settings;
use super::value::address;
use super::{defaults, key};

pub(super) struct Listeners {
    pub http: SocketAddr,
    pub grpc: Option<SocketAddr>,
    pub tls: Option<TlsIdentity>,
    pub api_key: Option<ApiKey>,
    /// The hosts that requests may name.
    pub hosts: Hosts,
}

impl Settings {
    pub(super) fn listeners(&self) -> Result<Listeners, ConfigurationError> {
        let http = address("listen", self.listen.as_deref().unwrap_or(defaults::LISTEN))?;
        let grpc = (self.grpc.as_deref())
            .map(|grpc| address("grpc", grpc))
            .transpose()?;
        let api_key = key::read(self.api_key.clone(), self.api_key_file.clone())?;
        let addresses = || [Some(http), grpc].into_iter().flatten();
        if api_key.is_none()
            && !self.no_auth
            && let Some(public) = addresses().find(|address| !address.ip().is_loopback())
        {
            return Err(ConfigurationError::Open(public));
        }
        let hosts = match &api_key {
            Some(_) => Hosts::every(),
            None => Hosts::of(addresses(), &self.host_names()),
        };
        Ok(Listeners {
            http,
            grpc,
            tls: self.tls()?,
            api_key,
            hosts,
        })
    }

    /// The host names that are allowed explicitly, and those in the listen addresses.
    fn host_names(&self) -> Vec<String> {
        let listened = [self.listen.as_ref(), self.grpc.as_ref()].into_iter();
        listened
            .flatten()
            .chain(&self.allowed_host)
            .cloned()
            .collect()
    }

    fn tls(&self) -> Result<Option<TlsIdentity>, ConfigurationError> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => TlsIdentity::read(certificate, key)
                .map(Some)
                .map_err(|error| invalid_setting("tls_cert", error)),
            (None, None) => Ok(None),
            (Some(_), None) => Err(invalid_setting("tls_key", "'tls_cert' requires it")),
            (None, Some(_)) => Err(invalid_setting("tls_cert", "'tls_key' requires it")),
        }
    }
}
