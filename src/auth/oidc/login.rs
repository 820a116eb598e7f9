//! Logging in by way of a provider: authorization code with PKCE (RFC 7636), state and nonce.
//!
//! Between the two steps nothing is kept here: the browser holds a cookie with the login's random
//! name and its time, and a code over both. State, nonce and PKCE verifier follow from the name by
//! a key of ours, so whoever has the cookie alone, or the answer alone, gets nowhere.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::Url;

use super::provider::{Claims, Error, Provider};
use super::wire::{Ask, Wire};
use crate::clock::Clock;
use crate::config::secret::Secret;

/// Seconds a person has to tell the provider who they are.
pub const LOGIN_SECONDS: i64 = 600;
/// Longest code or state that is read.
const ANSWER_BYTES_MAX: usize = 2048;

/// As whom we ask a provider.
#[derive(Clone, Debug)]
pub struct Client {
    /// Our name there.
    pub id: String,
    /// Our secret, where we have one.
    pub secret: Option<Secret>,
    /// Where people come back to.
    pub redirect_url: Url,
    /// What we ask for.
    pub scope: String,
}

/// What the provider's answer brings, by way of the browser.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Answer {
    /// What is exchanged for a token.
    #[serde(default)]
    pub code: Option<String>,
    /// What we sent along.
    #[serde(default)]
    pub state: Option<String>,
    /// Why there is no code.
    #[serde(default)]
    pub error: Option<String>,
    /// Who answers (RFC 9207).
    #[serde(default)]
    pub iss: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

/// Logs people in by way of one provider.
#[derive(Debug)]
pub struct Login {
    provider: Arc<Provider>,
    wire: Wire,
    client: Client,
    clock: Clock,
    key: Vec<u8>,
    cookie: &'static str,
}

impl Login {
    /// A way in; `key` is ours alone, `cookie` the name of the cookie between the steps.
    pub fn new(
        provider: Arc<Provider>,
        wire: Wire,
        client: Client,
        (clock, key): (Clock, Vec<u8>),
        cookie: &'static str,
    ) -> Self {
        Self { provider, wire, client, clock, key, cookie }
    }

    /// The first step: where the browser goes, and the cookie it takes along.
    pub async fn begin(&self, over_tls: bool) -> Result<(Url, String), Error> {
        let endpoints = self.provider.endpoints().await?;
        let name = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let ends = self.clock.now().as_second() + LOGIN_SECONDS;
        let mut url = endpoints.authorization_endpoint.clone();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.derived("pkce", &name)));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client.id)
            .append_pair("redirect_uri", self.client.redirect_url.as_str())
            .append_pair("scope", &self.client.scope)
            .append_pair("state", &self.derived("state", &name))
            .append_pair("nonce", &self.derived("nonce", &name))
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        let proof = self.derived("cookie", &format!("{name}.{ends}"));
        let value = format!("{name}.{ends}.{proof}");
        Ok((url, self.set_cookie(&value, LOGIN_SECONDS, over_tls)))
    }

    /// The second step: what the provider says of the person who came back. The cookie must be of
    /// this very login.
    pub async fn finish(&self, headers: &HeaderMap, answer: &Answer) -> Result<Claims, Error> {
        let name = self.name_of(headers).ok_or(Error::Refused)?;
        let state = answer.state.as_deref().unwrap_or_default();
        let same = state.as_bytes().ct_eq(self.derived("state", &name).as_bytes());
        let other = answer.iss.as_ref().is_some_and(|iss| iss != self.provider.issuer());
        if !bool::from(same) || other || answer.error.is_some() {
            return Err(Error::Refused);
        }
        let code = answer.code.as_deref().filter(|code| code.len() <= ANSWER_BYTES_MAX);
        let claims = self.exchanged(code.ok_or(Error::Refused)?, &name).await?;
        let nonce = claims.nonce.as_deref().unwrap_or_default();
        let expected = self.derived("nonce", &name);
        if !bool::from(nonce.as_bytes().ct_eq(expected.as_bytes())) {
            return Err(Error::Refused);
        }
        Ok(claims)
    }

    async fn exchanged(&self, code: &str, name: &str) -> Result<Claims, Error> {
        let endpoints = self.provider.endpoints().await?;
        let verifier = self.derived("pkce", name);
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.client.redirect_url.as_str()),
            ("client_id", &self.client.id),
            ("code_verifier", &verifier),
        ];
        let secret = self.client.secret.as_ref();
        let client = secret.map(|secret| (self.client.id.as_str(), secret.expose()));
        let asked = self.wire.json(&endpoints.token_endpoint, Ask::Form(&fields, client)).await;
        let tokens: Tokens = asked.map_err(|error| match error.status {
            // A code that was used, is too old, or is another's.
            Some(400..=499) => {
                tracing::info!(%error, "a code was not exchanged");
                Error::Refused
            }
            _ => Error::Away(error),
        })?;
        self.provider.verify(&tokens.id_token).await
    }

    /// Takes the cookie between the steps away.
    pub fn forget(&self, over_tls: bool) -> String {
        self.set_cookie("", 0, over_tls)
    }

    fn set_cookie(&self, value: &str, seconds: i64, over_tls: bool) -> String {
        // Lax: the browser comes back from the provider's site with it.
        let secure = if over_tls { "; Secure" } else { "" };
        let name = self.cookie;
        format!("{name}={value}; Path=/v1; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
    }

    /// The login's name in the cookie, if it is ours and its time is not over.
    fn name_of(&self, headers: &HeaderMap) -> Option<String> {
        let value = cookie(headers, self.cookie)?;
        let (signed, proof) = value.rsplit_once('.').filter(|_| value.len() <= ANSWER_BYTES_MAX)?;
        let (name, ends) = signed.split_once('.')?;
        let expected = self.derived("cookie", signed);
        let ours = bool::from(proof.as_bytes().ct_eq(expected.as_bytes()));
        let ends = Timestamp::from_second(ends.parse().ok()?).ok()?;
        (ours && self.clock.now() < ends).then(|| name.to_owned())
    }

    fn derived(&self, purpose: &str, name: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes any key");
        mac.update(self.cookie.as_bytes());
        mac.update(b"\0");
        mac.update(purpose.as_bytes());
        mac.update(b"\0");
        mac.update(name.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }
}

/// A cookie of a request. Two of the name: one was put there by somebody else, so none.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = lines.flat_map(|line| line.split(';')).filter_map(|pair| {
        let (given, value) = pair.trim().split_once('=')?;
        (given == name).then_some(value)
    });
    found.next().filter(|_| found.next().is_none())
}
