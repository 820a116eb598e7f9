//! One request to an identity provider: HTTP/1.1, over TLS unless it is on this machine, without
//! redirects, small and in a bounded time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::lifecycle::threads::OURS;

/// A request may take this long, from the name to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is read: a JWK set of many keys with certificates is a tenth of it.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Why a provider gave no usable answer. It never holds what was sent.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Error {
    what: String,
    why: String,
    /// The answer's status, if there was an answer.
    pub status: Option<u16>,
}

impl Error {
    fn new(url: &Url, why: impl ToString) -> Self {
        let what = format!("{}{}", url.origin().ascii_serialization(), url.path());
        Self { what, why: why.to_string(), status: None }
    }
}

/// What is sent.
#[derive(Debug)]
pub enum Ask<'a> {
    /// A GET.
    Get,
    /// A form, with our name and secret where the provider gave us one.
    Form(&'a [(&'a str, &'a str)], Option<(&'a str, &'a str)>),
}

/// Asks a provider.
#[derive(Clone)]
pub struct Wire {
    tls: Arc<ClientConfig>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

/// Whether a URL may be asked: https, or http to this very machine.
pub fn may_be_asked(url: &Url) -> bool {
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.username().is_empty() && (url.scheme() == "https" || (url.scheme() == "http" && here))
}

impl Wire {
    /// Trusts the system's authorities, and those of a file.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca_file {
            let name = path.display();
            let pem = std::fs::read(path).map_err(|error| format!("ca_file {name}: {error}"))?;
            let before = roots.len();
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let added = certificate.ok().and_then(|one| roots.add(one).ok());
                added.ok_or_else(|| format!("ca_file {name}: holds what is no certificate"))?;
            }
            if roots.len() == before {
                return Err(format!("ca_file {name}: holds no certificate"));
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls) })
    }

    /// The JSON that a URL answers with.
    pub async fn json<T: DeserializeOwned>(&self, url: &Url, ask: Ask<'_>) -> Result<T, Error> {
        let fail = |why: &dyn std::fmt::Display| Error::new(url, why);
        if !may_be_asked(url) {
            return Err(fail(&"must be https"));
        }
        let asked = tokio::time::timeout(TIMEOUT, self.exchange(url, &ask)).await;
        let (status, body) = asked
            .map_err(|_| fail(&"no answer in time"))?
            .map_err(|error: Box<dyn std::error::Error + Send + Sync>| fail(&error))?;
        if status != 200 {
            return Err(Error { status: Some(status), ..fail(&format!("status {status}")) });
        }
        serde_json::from_slice(&body).map_err(|error| fail(&error))
    }

    async fn exchange(
        &self,
        url: &Url,
        ask: &Ask<'_>,
    ) -> Result<(u16, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let request = request(url, ask)?;
        let host = url.host_str().ok_or("no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().ok_or("no port")?;
        let tcp = TcpStream::connect(&*OURS.look_up(&host, port).await?).await?;
        if url.scheme() == "http" {
            return over(tcp, request).await;
        }
        let name = ServerName::try_from(host)?;
        over(TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await?, request).await
    }
}

fn request(url: &Url, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let request = Request::builder()
        .uri(target)
        .header(HOST, url.authority())
        .header(CONNECTION, "close")
        .header(ACCEPT, "application/json");
    match ask {
        Ask::Get => request.body(Full::default()),
        Ask::Form(fields, client) => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            let body = form.extend_pairs(fields.iter()).finish();
            let kind = "application/x-www-form-urlencoded";
            let mut request = request.method("POST").header(CONTENT_TYPE, kind);
            if let Some((name, secret)) = client {
                // RFC 6749 section 2.3.1: both are form-encoded before they are joined.
                let encoded = |text: &str| -> String {
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair = STANDARD.encode(format!("{}:{}", encoded(name), encoded(secret)));
                request = request.header(AUTHORIZATION, format!("Basic {pair}"));
            }
            request.body(Full::from(body))
        }
    }
}

async fn over(
    io: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<(u16, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    let asking = async move {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok((head.status.as_u16(), body))
    };
    // The connection ends with the one request it carries.
    let (answer, _) = tokio::join!(asking, connection);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_or_this_machine_is_asked() {
        let may = |text: &str| may_be_asked(&Url::parse(text).expect("a URL"));
        for good in ["https://id.example/x", "http://127.0.0.1:9400/", "http://[::1]/x"] {
            assert!(may(good), "{good}");
        }
        for bad in ["http://id.example/", "ftp://localhost/", "https://u:p@id.example/"] {
            assert!(!may(bad), "{bad}");
        }
    }
}
