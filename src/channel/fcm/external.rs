//! Workload identity outside Google (`external_account` files, as gcloud writes them): a token that
//! the platform gives to what runs on it, from a file or a URL, is exchanged at Google's token
//! service (RFC 8693) and, where the file says so, for one of a service account. No key is kept
//! anywhere. Whatever fails is named after its step; when to try again is decided by who keeps the
//! tokens.

use std::path::{Path, PathBuf};

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout_at};
use url::form_urlencoded;

use super::external_file::{Config, Format};
use super::http1::Place;
use super::oauth::{Failure, Granted, SCOPE, judge, later, unavailable};
use crate::channel::http2::{self, Body};
use crate::domain::lane::Lane;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What the exchanged token may do where it only serves to act as a service account.
const CLOUD_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Largest token file read.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// An identity of another platform that Google trusts.
pub struct External {
    config: Config,
    subject: Subject,
    exchange: Endpoint,
    impersonate: Option<Endpoint>,
}

/// Where the platform's token is asked for.
pub enum Subject {
    /// A file.
    File(PathBuf),
    /// A place that answers to a GET with these headers.
    Url(Box<(Place, HeaderMap)>),
}

/// A path at a host of Google's.
pub struct Endpoint {
    /// The sender to the host.
    pub http: http2::Client,
    /// The path.
    pub path: PathAndQuery,
}

/// What is granted for a service account.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Impersonated {
    access_token: String,
    expire_time: Timestamp,
}

impl External {
    /// An identity as its file describes it.
    pub fn new(
        config: Config,
        subject: Subject,
        (exchange, impersonate): (Endpoint, Option<Endpoint>),
    ) -> Self {
        Self { config, subject, exchange, impersonate }
    }

    /// Asks for a token, in two steps or three.
    pub async fn fetch(&self, now: Timestamp, deadline: Instant) -> Result<Granted, Failure> {
        let subject = timeout_at(deadline, self.subject(now)).await;
        let subject = subject.map_err(|_| unavailable("oauth_subject_token_timed_out"))??;
        let exchanged = self.exchange(&subject, now, deadline).await?;
        match &self.impersonate {
            Some(endpoint) => self.impersonate(endpoint, exchanged, (now, deadline)).await,
            None => Ok(exchanged),
        }
    }

    /// Waits for the answers of what is in flight.
    pub async fn drain(&self) {
        self.exchange.http.drain().await;
        if let Some(endpoint) = &self.impersonate {
            endpoint.http.drain().await;
        }
    }

    /// The platform's token, read anew each time: platforms replace it long before it ends.
    async fn subject(&self, now: Timestamp) -> Result<String, Failure> {
        let text = match &self.subject {
            Subject::Url(asked) => {
                let (place, headers) = &**asked;
                let answer = place.get(headers).await;
                let answer = answer.map_err(|_| unavailable("oauth_no_subject_token"))?;
                match answer.status() {
                    StatusCode::OK => answer.into_body().into(),
                    status if passes(status) => return Err(later(answer.headers(), now)),
                    _ => return Err(Failure::Refused("oauth_subject_token_refused")),
                }
            }
            // It may be missing for a moment, while the platform replaces it.
            Subject::File(path) => {
                read(path).await.map_err(|_| unavailable("oauth_no_subject_token"))?
            }
        };
        let token = self.config.format.token(&text);
        token.ok_or(Failure::Refused("oauth_malformed_subject_token"))
    }

    /// RFC 8693: one token for another.
    async fn exchange(
        &self,
        subject: &str,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Granted, Failure> {
        let scope = if self.impersonate.is_some() { CLOUD_SCOPE } else { SCOPE };
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", GRANT_TYPE)
            .append_pair("audience", &self.config.audience)
            .append_pair("scope", scope)
            .append_pair("requested_token_type", ACCESS_TOKEN)
            .append_pair("subject_token_type", &self.config.subject_token_type)
            .append_pair("subject_token", subject)
            .finish();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind)]);
        let answer = self.exchange.post(&headers, form, deadline).await?;
        judge(answer.status, (&answer.headers, &answer.body), now)
    }

    /// A token of the service account, for the one who may act as it.
    async fn impersonate(
        &self,
        endpoint: &Endpoint,
        exchanged: Granted,
        (now, deadline): (Timestamp, Instant),
    ) -> Result<Granted, Failure> {
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, exchanged.bearer()?),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ]);
        let lifetime = format!("{}s", self.config.lifetime_seconds);
        let body = json!({ "scope": [SCOPE], "lifetime": lifetime }).to_string();
        let answer = endpoint.post(&headers, body, deadline).await?;
        match answer.status {
            StatusCode::OK => {
                let granted: Impersonated = serde_json::from_slice(&answer.body)
                    .map_err(|_| Failure::Refused("oauth_malformed_answer"))?;
                let seconds = granted.expire_time.duration_since(now).as_secs();
                let seconds = u32::try_from(seconds.max(0)).unwrap_or(u32::MAX);
                Ok(Granted::new(granted.access_token, seconds))
            }
            status if passes(status) => Err(later(&answer.headers, now)),
            StatusCode::NOT_FOUND => Err(Failure::Refused("oauth_unknown_service_account")),
            StatusCode::FORBIDDEN => Err(Failure::Refused("oauth_impersonation_denied")),
            _ => Err(Failure::Refused("oauth_impersonation_refused")),
        }
    }
}

impl Endpoint {
    async fn post(
        &self,
        headers: &HeaderMap,
        body: String,
        deadline: Instant,
    ) -> Result<http2::Answer, Failure> {
        let head = || {
            let mut request = self.http.post(self.path.clone());
            *request.headers_mut() = headers.clone();
            Some(request)
        };
        let way = (Lane::Emergency, deadline);
        let answer = self.http.send(head, Body::whole(body.into()), way).await;
        answer.map_err(|error| unavailable(error.reason()))
    }
}

impl Format {
    /// The token in what was read.
    fn token(&self, text: &[u8]) -> Option<String> {
        let token = match self {
            Self::Text => String::from_utf8(text.to_vec()).ok()?,
            Self::Json { field } => {
                let object: serde_json::Value = serde_json::from_slice(text).ok()?;
                object.get(field)?.as_str()?.to_owned()
            }
        };
        let token = token.trim();
        (!token.is_empty()).then(|| token.to_owned())
    }
}

/// Whether the same may be answered otherwise a little later.
fn passes(status: StatusCode) -> bool {
    let passing = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT];
    status.is_server_error() || passing.contains(&status)
}

async fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    tokio::fs::File::open(path).await?.take(FILE_MAX_BYTES).read_to_end(&mut text).await?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_text_or_a_field_of_an_object() {
        let json = Format::Json { field: "access_token".to_owned() };
        assert_eq!(Format::Text.token(b"abc\n"), Some("abc".to_owned()));
        assert_eq!(json.token(br#"{"access_token": "abc", "x": 1}"#), Some("abc".to_owned()));
        for bad in [&b""[..], b"  \n", b"\xff"] {
            assert_eq!(Format::Text.token(bad), None);
        }
        for bad in [&b"abc"[..], b"{}", br#"{"access_token": 1}"#, br#"{"access_token": ""}"#] {
            assert_eq!(json.token(bad), None);
        }
    }
}
