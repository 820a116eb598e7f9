//! A service account's key: a signed assertion for an access token (RFC 7523), over the same HTTP/2
//! sender as the pushes.

use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use super::oauth::{Failure, Granted, SCOPE, judge, unavailable};
use crate::channel::http2::{self, Body};
use crate::domain::lane::Lane;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long an assertion is good for; Google takes at most an hour.
const ASSERTION_LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// A URL's path and query.
fn path_of(url: &Url) -> PathAndQuery {
    PathAndQuery::try_from(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .expect("a URL's path and query")
}

/// A service account's key file, as far as it is needed.
#[derive(Deserialize)]
pub struct KeyFile {
    /// The project it belongs to.
    pub project_id: String,
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: Option<String>,
    /// Where tokens are fetched.
    pub token_uri: Url,
}

/// A service account that can ask for tokens.
pub struct Account {
    http: http2::Client,
    path: PathAndQuery,
    file: KeyFile,
    key: EncodingKey,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl Account {
    /// An account over a sender to its `token_uri`; fails when its key cannot sign.
    pub fn new(
        file: KeyFile,
        http: http2::Client,
        now: Timestamp,
    ) -> Result<Self, jsonwebtoken::errors::Error> {
        let key = EncodingKey::from_rsa_pem(file.private_key.as_bytes())?;
        let path = path_of(&file.token_uri);
        let account = Self { http, path, file, key };
        account.assertion(now)?;
        Ok(account)
    }

    /// Asks for a token.
    pub async fn fetch(&self, now: Timestamp, deadline: Instant) -> Result<Granted, Failure> {
        let assertion = self.assertion(now).map_err(|_| Failure::Refused("oauth_key"))?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", GRANT_TYPE)
            .append_pair("assertion", &assertion)
            .finish();
        let head = || {
            let mut request: Request<()> = self.http.post(self.path.clone());
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers_mut().insert(CONTENT_TYPE, form);
            request
        };
        let answer = self
            .http
            .send(|| Some(head()), Body::whole(form.into()), (Lane::Emergency, deadline))
            .await
            .map_err(|error| unavailable(error.reason()))?;
        judge(answer.status, (&answer.headers, &answer.body), now)
    }

    /// Waits for the answers of what is in flight.
    pub async fn drain(&self) {
        self.http.drain().await;
    }

    fn assertion(&self, now: Timestamp) -> Result<String, jsonwebtoken::errors::Error> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid.clone_from(&self.file.private_key_id);
        let claims = Claims {
            iss: &self.file.client_email,
            scope: SCOPE,
            aud: self.file.token_uri.as_str(),
            iat: now.as_second(),
            exp: now.as_second() + ASSERTION_LIFETIME.as_secs(),
        };
        jsonwebtoken::encode(&header, &claims, &self.key)
    }
}
