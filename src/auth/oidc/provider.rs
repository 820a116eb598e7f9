//! What is known of a provider: its endpoints and its keys, as it publishes them, and whether a
//! token is its own.
//!
//! Nothing is asked before it is needed, so a node starts while the provider is away. Keys are
//! fetched again every few minutes, and when a token names one that is not known, but never more
//! often than every [`REFETCH_MIN`]: whoever sends invented key names costs one request then, not
//! one each. While the provider is away its last keys hold.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::wire::{self, Ask, Wire, may_be_asked};
use crate::clock::Clock;

/// Seconds the issuer's clock and ours may differ.
pub const SKEW_SECONDS: u64 = 60;
/// Keys an issuer may have at a time.
const KEYS_MAX: usize = 32;
/// The algorithms that are accepted. Never `none`, never a shared secret.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// Longest token that is read.
const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Between two fetches of keys, whatever tokens ask for.
pub const REFETCH_MIN: SignedDuration = SignedDuration::from_secs(10);
/// Keys are fetched again after this, so that what the provider withdrew ends here too.
const REFRESH: SignedDuration = SignedDuration::from_mins(10);

/// Why a token is not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// It is not a good token of the issuer, for us, at this time.
    #[error("the token is not the issuer's, not for us, or not of this time")]
    Refused,
    /// The provider cannot be asked, and nothing is known of it yet.
    #[error("the identity provider cannot be asked: {0}")]
    Away(wire::Error),
    /// What it publishes cannot be used.
    #[error("what the identity provider publishes cannot be used: {0}")]
    Unusable(String),
}

/// What a provider publishes (OpenID Connect Discovery 1.0, section 3).
#[derive(Clone, Debug, Deserialize)]
pub struct Endpoints {
    issuer: String,
    /// Where people say who they are.
    pub authorization_endpoint: Url,
    /// Where a code becomes a token.
    pub token_endpoint: Url,
    jwks_uri: Url,
}

/// What a token says that matters here.
#[derive(Clone, Debug, Deserialize)]
pub struct Claims {
    /// Whose it is, in the provider's words: never stored, never logged.
    pub sub: String,
    /// What the login began with.
    #[serde(default)]
    pub nonce: Option<String>,
    /// An address, if we asked for it.
    #[serde(default)]
    pub email: Option<String>,
    /// Whether the provider has seen that it is theirs.
    #[serde(default)]
    pub email_verified: bool,
    aud: Value,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    iat: Option<f64>,
}

type Key = (Option<String>, Algorithm, DecodingKey);

struct Keys {
    keys: Vec<Key>,
    at: Timestamp,
}

/// Where keys come from.
enum Source {
    /// From the settings; they never change.
    Given,
    /// From the provider.
    Published(Wire),
}

/// One issuer.
pub struct Provider {
    issuer: String,
    audience: String,
    clock: Clock,
    source: Source,
    endpoints: ArcSwapOption<Endpoints>,
    keys: ArcSwapOption<Keys>,
    /// When the provider was last asked; held while it is.
    asked: Mutex<Option<Timestamp>>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Provider {
    /// A provider that publishes what it is.
    pub fn published(issuer: &str, audience: &str, wire: Wire, clock: Clock) -> Self {
        Self::new((issuer, audience), Source::Published(wire), None, clock)
    }

    /// A provider of which only given keys are known; nobody can log in by way of it.
    pub fn given(issuer: &str, audience: &str, jwks: &str, clock: Clock) -> Result<Self, Error> {
        let set: JwkSet =
            serde_json::from_str(jwks).map_err(|error| Error::Unusable(error.to_string()))?;
        // Given by hand, so one that is of no use is a mistake.
        let wanted = set.keys.len();
        let keys = usable(&set)?;
        if keys.len() < wanted {
            let rule = "only keys for RS256, ES256 and EdDSA are accepted";
            return Err(Error::Unusable(rule.to_owned()));
        }
        let keys = Keys { keys, at: Timestamp::UNIX_EPOCH };
        Ok(Self::new((issuer, audience), Source::Given, Some(keys), clock))
    }

    fn new(
        (issuer, audience): (&str, &str),
        source: Source,
        keys: Option<Keys>,
        clock: Clock,
    ) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            clock,
            source,
            endpoints: ArcSwapOption::empty(),
            keys: ArcSwapOption::from_pointee(keys),
            asked: Mutex::default(),
        }
    }

    /// The issuer, as tokens name it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where people log in and codes are exchanged.
    pub async fn endpoints(&self) -> Result<Arc<Endpoints>, Error> {
        if let Some(known) = self.endpoints.load_full() {
            return Ok(known);
        }
        let Source::Published(wire) = &self.source else {
            return Err(Error::Unusable("its keys are given in the settings alone".to_owned()));
        };
        let found = self.discover(wire).await?;
        self.endpoints.store(Some(Arc::clone(&found)));
        Ok(found)
    }

    async fn discover(&self, wire: &Wire) -> Result<Arc<Endpoints>, Error> {
        let place =
            format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let place = Url::parse(&place).map_err(|error| Error::Unusable(error.to_string()))?;
        let found: Endpoints = wire.json(&place, Ask::Get).await.map_err(Error::Away)?;
        if found.issuer != self.issuer {
            let what = format!("it calls itself `{}`", found.issuer);
            return Err(Error::Unusable(what));
        }
        let all = [&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri];
        if let Some(url) = all.into_iter().find(|url| !may_be_asked(url)) {
            return Err(Error::Unusable(format!("`{url}` is not https")));
        }
        Ok(Arc::new(found))
    }

    /// What a token says, if it is a good one of the issuer, for us, at this time.
    pub async fn verify(&self, token: &str) -> Result<Claims, Error> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::Refused);
        }
        let header = decode_header(token).map_err(|_| Error::Refused)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Error::Refused);
        }
        let known = |keys: &Keys| keys.keys.iter().any(|key| fits(key, &header));
        let now = self.clock.now();
        let mut keys = self.keys.load_full();
        let stale = |keys: &Keys| !known(keys) || now.duration_since(keys.at) > REFRESH;
        if keys.as_deref().is_none_or(stale) {
            keys = self.refetched(now).await?;
        }
        let keys = keys.ok_or(Error::Refused)?;
        let mine = keys.keys.iter().filter(|key| fits(key, &header));
        let claims = mine
            .filter_map(|(_, algorithm, key)| {
                decode::<Claims>(token, key, &self.validation(*algorithm)).ok()
            })
            .next();
        let claims = claims.ok_or(Error::Refused)?.claims;
        if self.meant(&claims, now) { Ok(claims) } else { Err(Error::Refused) }
    }

    /// Rules beyond a signature's: OpenID Connect Core 1.0, section 3.1.3.7, 3 to 6 and 10.
    fn meant(&self, claims: &Claims, now: Timestamp) -> bool {
        let several = claims.aud.as_array().is_some_and(|all| all.len() > 1);
        let party = match &claims.azp {
            Some(azp) => *azp == self.audience,
            None => !several,
        };
        let latest = now.as_second() as f64 + SKEW_SECONDS as f64;
        party && !claims.sub.is_empty() && claims.iat.is_none_or(|iat| iat <= latest)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = SKEW_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation
    }

    /// The keys, asked for again if that is due.
    async fn refetched(&self, now: Timestamp) -> Result<Option<Arc<Keys>>, Error> {
        let Source::Published(wire) = &self.source else { return Ok(self.keys.load_full()) };
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| now.duration_since(at) < REFETCH_MIN) {
            return Ok(self.keys.load_full());
        }
        *asked = Some(now);
        match self.fetch(wire, now).await {
            Ok(keys) => self.keys.store(Some(Arc::new(keys))),
            Err(error) if self.keys.load().is_none() => {
                tracing::error!(issuer = self.issuer, %error, "nobody can log in");
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(issuer = self.issuer, %error, "the issuer's last keys hold");
            }
        }
        Ok(self.keys.load_full())
    }

    async fn fetch(&self, wire: &Wire, now: Timestamp) -> Result<Keys, Error> {
        let endpoints = self.endpoints().await?;
        let set: JwkSet = wire.json(&endpoints.jwks_uri, Ask::Get).await.map_err(Error::Away)?;
        Ok(Keys { keys: usable(&set)?, at: now })
    }
}

fn fits(key: &Key, header: &jsonwebtoken::Header) -> bool {
    key.1 == header.alg && (header.kid.is_none() || key.0 == header.kid)
}

/// The keys of a set that we take; those for encryption and of other kinds are passed over.
fn usable(set: &JwkSet) -> Result<Vec<Key>, Error> {
    let keys: Vec<Key> = set.keys.iter().filter_map(key).collect();
    if keys.is_empty() || set.keys.len() > KEYS_MAX {
        return Err(Error::Unusable(format!("it must hold 1 to {KEYS_MAX} keys that we know")));
    }
    Ok(keys)
}

fn key(jwk: &Jwk) -> Option<Key> {
    use jsonwebtoken::jwk::PublicKeyUse;
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return None;
    }
    let key = DecodingKey::from_jwk(jwk).ok()?;
    // The key's own `alg` decides; without it, its type.
    let named = jwk.common.key_algorithm.map(|algorithm| algorithm.to_string());
    let algorithm = match named {
        Some(name) => ALGORITHMS.into_iter().find(|known| format!("{known:?}") == name),
        None => ALGORITHMS.into_iter().find(|known| known.family() == key.family()),
    };
    Some((jwk.common.key_id.clone(), algorithm?, key))
}
