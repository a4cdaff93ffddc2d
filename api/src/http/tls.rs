//! The certificate and key, which HTTPS, WSS and gRPC share.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::http::error::ApiError;

/// A certificate chain and its key, read from PEM files.
#[derive(Clone)]
pub struct TlsIdentity {
    pub(crate) certificates: Vec<u8>,
    pub(crate) key: Vec<u8>,
    config: ServerConfig,
}

impl TlsIdentity {
    /// # Errors
    /// A file can't be read or has no certificate or key, or they do not match.
    pub fn read(certificates: &Path, key: &Path) -> Result<Self, ApiError> {
        let wrong = |path: &Path, reason: String| ApiError::TlsFile {
            path: path.to_owned(),
            reason,
        };
        let bytes =
            |path: &Path| std::fs::read(path).map_err(|error| wrong(path, error.to_string()));
        let (certificate_bytes, key_bytes) = (bytes(certificates)?, bytes(key)?);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&certificate_bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(certificates, error.to_string()))?;
        if chain.is_empty() {
            return Err(wrong(
                certificates,
                "it has no certificate in PEM".to_owned(),
            ));
        }
        let private = PrivateKeyDer::from_pem_slice(&key_bytes)
            .map_err(|error| wrong(key, format!("it has no private key in PEM ({error})")))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(chain, private)
            })
            .map_err(|error| wrong(certificates, error.to_string()))?;
        Ok(Self {
            certificates: certificate_bytes,
            key: key_bytes,
            config,
        })
    }

    pub(crate) fn config(&self) -> ServerConfig {
        self.config.clone()
    }
}

/// Without the key.
impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TlsIdentity(…)")
    }
}
