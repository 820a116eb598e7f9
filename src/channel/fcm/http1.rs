//! One HTTP/1.1 GET: what hands out identities on a machine speaks nothing newer, mostly without
//! TLS. One connection for one request, since a token lasts an hour.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use url::Url;

use super::account::path_of;
use crate::channel::http2::tls;

/// Largest answer read.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// Whatever kept a server from answering: it is the same to us.
pub type Unreachable = Box<dyn std::error::Error + Send + Sync>;

/// Where to ask.
pub struct Place {
    host: String,
    port: u16,
    /// The `host` header.
    authority: HeaderValue,
    /// Path and query.
    path: Uri,
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
}

impl Place {
    /// The place of an http URL, or of an https one under a configuration that says whom to trust;
    /// `None` for any other URL.
    pub fn new(url: &Url, tls: &Arc<ClientConfig>) -> Option<Self> {
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = match url.scheme() {
            "http" => None,
            "https" => {
                let mut tls = ClientConfig::clone(tls);
                tls.alpn_protocols = vec![b"http/1.1".to_vec()];
                Some((ServerName::try_from(host.clone()).ok()?, Arc::new(tls)))
            }
            _ => return None,
        };
        Some(Self {
            port: url.port_or_known_default()?,
            authority: HeaderValue::try_from(url.authority()).ok()?,
            path: Uri::from(path_of(url)),
            host,
            tls,
        })
    }

    /// Asks, with further headers.
    pub async fn get(&self, headers: &HeaderMap) -> Result<http::Response<Bytes>, Unreachable> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        match &self.tls {
            None => self.ask(tcp, headers).await,
            Some((name, tls)) => {
                let tls = tls::connect(Arc::clone(tls), name.clone(), tcp).await?;
                self.ask(tls, headers).await
            }
        }
    }

    async fn ask(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin,
        headers: &HeaderMap,
    ) -> Result<http::Response<Bytes>, Unreachable> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = headers.clone();
        request.headers_mut().insert(HOST, self.authority.clone());
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        let asking = async move {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await?.to_bytes();
            Ok(http::Response::from_parts(head, body))
        };
        // The connection ends with the one request it carries.
        let (answer, _) = tokio::join!(asking, connection);
        answer
    }
}
