//! Workload identity: access tokens from the metadata server that Google's machines and clusters
//! (GKE with workload identity, Cloud Run, Compute Engine) offer to what runs on them. The identity
//! is the machine's; no key is kept anywhere. The server is part of the host and speaks HTTP/1.1
//! without TLS.

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::oauth::{Failure, Granted, judge, unavailable};

/// The token of the account that the workload runs as. Its scopes are the account's own.
const TOKEN_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// Asked for in the request, so that no browser can be lured into it, and given in the answer.
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const GOOGLE: HeaderValue = HeaderValue::from_static("Google");
/// Largest answer read.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// A metadata server.
pub struct Metadata {
    host: String,
    port: u16,
}

impl Metadata {
    /// The server at an http URL; `None` for any other URL.
    pub fn new(url: &Url) -> Option<Self> {
        let (host, port) = (url.host_str()?.to_owned(), url.port_or_known_default()?);
        (url.scheme() == "http").then_some(Self { host, port })
    }

    /// Asks for a token.
    pub async fn fetch(&self, now: Timestamp, deadline: Instant) -> Result<Granted, Failure> {
        let asked = timeout_at(deadline, self.ask()).await;
        let answer = asked.map_err(|_| unavailable("oauth_timed_out"))?;
        let answer = answer.map_err(|_| unavailable("oauth_no_metadata_server"))?;
        if answer.headers().get(FLAVOR) != Some(&GOOGLE) {
            return Err(Failure::Refused("oauth_not_a_metadata_server"));
        }
        judge(answer.status(), (answer.headers(), answer.body()), now)
    }

    async fn ask(&self) -> Result<http::Response<Bytes>, Unreachable> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = Uri::from_static(TOKEN_PATH);
        let host = HeaderValue::try_from(format!("{}:{}", self.host, self.port))?;
        request.headers_mut().extend([
            (HOST, host),
            (FLAVOR, GOOGLE),
            (CONNECTION, HeaderValue::from_static("close")),
        ]);
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

/// Whatever kept the server from answering: it is the same to us.
type Unreachable = Box<dyn std::error::Error + Send + Sync>;
