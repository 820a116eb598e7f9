//! A small HTTP client for the commands that talk to a node: one request, one connection.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::cli::BadInput;
use crate::http::problem::Document;

/// A request may take this long.
const TIMEOUT: Duration = Duration::from_secs(30);
/// An answer may be this large, in bytes: a city's funnel with room.
const ANSWER_MAX: usize = 32 * 1024 * 1024;

/// Where a node is and who asks.
#[derive(Debug, clap::Args)]
pub struct Server {
    /// The node's address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
    /// The agency's API key; better given by the environment than on the command line
    #[arg(long, env = "LOA_KEY", hide_env_values = true)]
    pub key: String,
}

/// A body and its type.
pub type Body = (&'static str, Bytes);

impl Server {
    /// Asks the node; an answer other than 2xx is an error with the problem's words.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Body>) -> Result<Bytes> {
        let url = url(&self.server, path)?;
        let asked = tokio::time::timeout(TIMEOUT, exchange(&url, Some(&self.key), method, body));
        let (status, answer) = asked.await.map_err(|_| anyhow!("{url}: no answer in time"))??;
        if status.is_success() {
            return Ok(answer);
        }
        match serde_json::from_slice::<Document>(&answer) {
            Ok(problem) => {
                let errors: Vec<String> = problem
                    .errors
                    .iter()
                    .map(|error| format!("\n  {error} [{}]", error.rule))
                    .collect();
                let text = format!("{} ({}){}", problem.detail, problem.code, errors.concat());
                if status.is_client_error() { Err(BadInput(text).into()) } else { bail!(text) }
            }
            Err(_) => bail!("{url}: {status}"),
        }
    }
}

/// Asks a node for what everybody may see: status and body, whatever they are.
pub async fn get(server: &str, path: &str, patience: Duration) -> Result<(StatusCode, Bytes)> {
    let url = url(server, path)?;
    let asked = tokio::time::timeout(patience, exchange(&url, None, Method::GET, None));
    asked.await.map_err(|_| anyhow!("{url}: no answer in time"))?
}

fn url(server: &str, path: &str) -> Result<Url> {
    let base =
        Url::parse(server).map_err(|error| BadInput(format!("--server {server}: {error}")))?;
    Ok(base.join(path)?)
}

async fn exchange(
    url: &Url,
    key: Option<&str>,
    method: Method,
    body: Option<Body>,
) -> Result<(StatusCode, Bytes)> {
    let host = url.host_str().ok_or_else(|| BadInput(format!("{url}: no host")))?;
    let port = url.port_or_known_default().ok_or_else(|| BadInput(format!("{url}: no port")))?;
    let path = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut request =
        Request::builder().method(method).uri(path).header(HOST, format!("{host}:{port}"));
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, format!("Bearer {key}"));
    }
    if let Some((kind, _)) = &body {
        request = request.header(CONTENT_TYPE, *kind);
    }
    let request = request.body(Full::new(body.map(|(_, bytes)| bytes).unwrap_or_default()))?;
    let stream =
        TcpStream::connect((host, port)).await.with_context(|| format!("cannot reach {url}"))?;
    if url.scheme() == "https" {
        let name = rustls_pki_types::ServerName::try_from(host.to_owned())?;
        over(connector()?.connect(name, stream).await?, request).await
    } else {
        over(stream, request).await
    }
}

async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes)> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
    driver.abort();
    Ok((status, body.map_err(|error| anyhow!("the answer broke off: {error}"))?.to_bytes()))
}

fn connector() -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
