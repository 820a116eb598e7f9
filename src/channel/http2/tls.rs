//! Whom a sender trusts: the system's roots, or given ones beside them; and as whom it presents
//! itself, where a provider knows us by a certificate.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Settings;

/// HTTP/2 in TLS's application-layer protocol negotiation (RFC 7301).
const ALPN_H2: &[u8] = b"h2";

/// Why a TLS configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of further roots cannot be used.
    #[error("http2.ca_file {path}: {why}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The inline roots cannot be used.
    #[error("http2.ca_pem: {0}")]
    CaPem(String),
    /// Our own certificate cannot be used.
    #[error("certificate: {0}")]
    Identity(String),
    /// Nobody would be trusted.
    #[error("the system has no trusted root certificates and http2.ca_file names none")]
    NoRoots,
}

/// A certificate with its chain, and its key. Its Debug form hides the key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// From a PEM text that holds the certificate, its chain if it has one, and the key, in any
    /// order but the certificate before its chain.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let fail = |error: rustls::pki_types::pem::Error| Error::Identity(error.to_string());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let chain = chain.map_err(fail)?;
        if chain.is_empty() {
            return Err(Error::Identity("holds no certificate".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| Error::Identity("holds no private key".to_owned()))?;
        Ok(Self { chain, key })
    }

    /// The certificate itself, in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.chain[0]
    }
}

/// A client configuration: TLS 1.2 or newer, ALPN `h2` alone.
pub fn config(settings: &Settings, identity: Option<Identity>) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = &settings.ca_file {
        let fail = |why: String| Error::CaFile { path: path.clone(), why };
        let pem = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
        add(&mut roots, &pem).map_err(fail)?;
    }
    if let Some(pem) = &settings.ca_pem {
        add(&mut roots, pem.as_bytes()).map_err(Error::CaPem)?;
    }
    if roots.is_empty() {
        return Err(Error::NoRoots);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(Identity { chain, key }) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| Error::Identity(error.to_string()))?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    Ok(Arc::new(config))
}

/// Shakes hands as a client, for a protocol that the configuration names.
pub async fn connect(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    tcp: TcpStream,
) -> io::Result<impl AsyncRead + AsyncWrite + Unpin> {
    TlsConnector::from(config).connect(name, tcp).await
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), String> {
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        found += 1;
    }
    if found == 0 { Err("holds no certificate".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_that_cannot_be_read_are_refused_by_name() {
        let inline = Settings { ca_pem: Some("nothing".into()), ..Settings::default() };
        assert!(matches!(config(&inline, None), Err(Error::CaPem(_))));
        let file = Settings { ca_file: Some("/nowhere/ca.pem".into()), ..Settings::default() };
        assert!(matches!(config(&file, None), Err(Error::CaFile { .. })));
    }
}
