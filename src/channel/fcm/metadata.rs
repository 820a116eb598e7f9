//! Workload identity on Google's machines: access tokens from the metadata server that they and
//! their clusters (GKE with workload identity, Cloud Run, Compute Engine) offer to what runs on
//! them. The identity is the machine's; no key is kept anywhere. The server is part of the host and
//! speaks HTTP/1.1 without TLS.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::http1::Place;
use super::oauth::{Failure, Granted, judge, unavailable};

/// The token of the account that the workload runs as. Its scopes are the account's own.
const TOKEN_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// Asked for in the request, so that no browser can be lured into it, and given in the answer.
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const GOOGLE: HeaderValue = HeaderValue::from_static("Google");

/// A metadata server.
pub struct Metadata(Place);

impl Metadata {
    /// The server at an http URL; `None` for any other URL.
    pub fn new(url: &Url, tls: &Arc<ClientConfig>) -> Option<Self> {
        let url = url.join(TOKEN_PATH).ok().filter(|url| url.scheme() == "http")?;
        Place::new(&url, tls).map(Self)
    }

    /// Asks for a token.
    pub async fn fetch(&self, now: Timestamp, deadline: Instant) -> Result<Granted, Failure> {
        let headers = HeaderMap::from_iter([(FLAVOR, GOOGLE)]);
        let asked = timeout_at(deadline, self.0.get(&headers)).await;
        let answer = asked.map_err(|_| unavailable("oauth_timed_out"))?;
        let answer = answer.map_err(|_| unavailable("oauth_no_metadata_server"))?;
        if answer.headers().get(FLAVOR) != Some(&GOOGLE) {
            return Err(Failure::Refused("oauth_not_a_metadata_server"));
        }
        judge(answer.status(), (answer.headers(), answer.body()), now)
    }
}
