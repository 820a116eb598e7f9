//! An authority of a test's own, what it signs, and clients that trust it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use loa::http::tls::Settings;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::http::Answer;

/// Who signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
    dir: tempfile::TempDir,
}

/// A certificate and its key, in files.
#[derive(Clone, Debug)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub der: CertificateDer<'static>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "a test's authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("signed");
        let (der, pem) = (own.der().clone(), own.pem());
        let dir = tempfile::tempdir().expect("a directory");
        Self { issuer: Issuer::new(params, key), der, pem, dir }
    }

    /// Its own certificate, in a file.
    pub fn file(&self) -> PathBuf {
        let path = self.dir.path().join("ca.pem");
        std::fs::write(&path, &self.pem).expect("written");
        path
    }

    /// A certificate for `localhost` and loopback, good until a year begins.
    pub fn signs(&self, name: &str, until: i32) -> Pair {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        let at = |end: &str| self.dir.path().join(format!("{name}.{end}"));
        std::fs::write(at("pem"), signed.pem()).expect("written");
        std::fs::write(at("key"), key.serialize_pem()).expect("written");
        Pair { certificate: at("pem"), key: at("key"), der: signed.der().clone() }
    }

    /// A face's settings with a new certificate.
    pub fn face(&self) -> Settings {
        let pair = self.signs("face", 2090);
        Settings {
            certificate_file: Some(pair.certificate),
            key_file: Some(pair.key),
            ..Settings::default()
        }
    }

    /// A client that trusts it and speaks the newest TLS and HTTP/1.1.
    pub fn client(&self) -> Client {
        let versions = rustls::ALL_VERSIONS.to_vec();
        Client { root: self.der.clone(), versions, alpn: "http/1.1", own: None }
    }
}

/// Whom a client trusts and how it speaks.
#[derive(Clone, Debug)]
pub struct Client {
    pub root: CertificateDer<'static>,
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// What it offers; empty: nothing.
    pub alpn: &'static str,
    /// The certificate that it presents.
    pub own: Option<Pair>,
}

/// A request: method, path, the value of `Authorization`, a body with its type.
pub type Asked<'a> = (Method, &'a str, Option<&'a str>, Option<(&'a str, Bytes)>);

impl Client {
    /// The same with a certificate of its own.
    pub fn with(&self, own: &Pair) -> Self {
        Self { own: Some(own.clone()), ..self.clone() }
    }

    pub fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match &self.own {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = vec![pair.der.clone()];
                let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        if !self.alpn.is_empty() {
            config.alpn_protocols = vec![self.alpn.into()];
        }
        Arc::new(config)
    }

    /// An open connection. With TLS 1.3 a refusal of the client's certificate comes later.
    pub async fn connect(&self, to: SocketAddr) -> Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(to).await?;
        let name = ServerName::try_from("localhost")?;
        Ok(TlsConnector::from(self.config()).connect(name, stream).await?)
    }

    /// One request on a connection of its own.
    pub async fn ask(
        &self,
        to: SocketAddr,
        (method, path, credentials, body): Asked<'_>,
    ) -> Result<Answer> {
        let uri = format!("https://localhost:{}{path}", to.port());
        let mut request = Request::builder().method(method).uri(uri);
        if self.alpn == "h2" {
            request = request.version(Version::HTTP_2);
        } else {
            request = request.header(http::header::HOST, "localhost");
        }
        if let Some(credentials) = credentials {
            request = request.header(AUTHORIZATION, credentials);
        }
        if let Some((kind, _)) = &body {
            request = request.header(CONTENT_TYPE, *kind);
        }
        let request = request.body(Full::new(body.map(|(_, bytes)| bytes).unwrap_or_default()))?;
        let io = TokioIo::new(self.connect(to).await?);
        let response = if self.alpn == "h2" {
            let executor = TokioExecutor::new();
            let (mut sender, driver) = hyper::client::conn::http2::handshake(executor, io).await?;
            tokio::spawn(driver);
            sender.send_request(request).await?
        } else {
            let (mut sender, driver) = hyper::client::conn::http1::handshake(io).await?;
            tokio::spawn(driver);
            sender.send_request(request).await?
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

/// Puts a pair where another one is read from, as a renewal does.
pub fn replace(at: &Pair, by: &Pair) {
    for (old, new) in [(&at.key, &by.key), (&at.certificate, &by.certificate)] {
        let fresh = old.with_extension("new");
        std::fs::copy(new, &fresh).expect("copied");
        std::fs::rename(&fresh, old as &Path).expect("renamed");
    }
}
