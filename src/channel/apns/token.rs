//! Apple's provider token (FACTS A1): an ES256 JSON Web Token (RFC 7515, 7518) over team and time.
//! Apple refuses one older than an hour and one renewed more often than every 20 minutes, so all
//! senders of a channel share one and the first to find it old makes the next.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// A token is renewed at this age: well before Apple's hour is over.
const RENEW_AFTER: SignedDuration = SignedDuration::from_mins(50);
/// A token that Apple calls expired is replaced at once, but not more often than this: a wrong
/// clock, which no renewal cures, must not become `TooManyProviderTokenUpdates`.
const FORCE_EVERY: SignedDuration = SignedDuration::from_mins(20);
/// A token from further in the future than this was made before the clock was set back.
const FUTURE_MAX: SignedDuration = SignedDuration::from_mins(1);

/// Makes and keeps the provider token.
pub struct Signer {
    key: EncodingKey,
    header: Header,
    team_id: String,
    state: Mutex<State>,
}

struct State {
    token: Token,
    forced: Option<Timestamp>,
}

/// A provider token, as the `authorization` header carries it.
#[derive(Clone)]
pub struct Token {
    /// `bearer <token>`.
    pub bearer: HeaderValue,
    issued: Timestamp,
    /// Counts the tokens of a signer.
    pub generation: u64,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    /// Seconds since the epoch.
    iat: i64,
}

/// The key cannot sign.
#[derive(Debug, thiserror::Error)]
#[error("not an ES256 key in PKCS #8 PEM: {0}")]
pub struct KeyError(#[from] jsonwebtoken::errors::Error);

impl Signer {
    /// A signer with Apple's .p8 key; signs once, so that a bad key shows now.
    pub fn new(pem: &str, key_id: &str, team_id: &str, now: Timestamp) -> Result<Self, KeyError> {
        let key = EncodingKey::from_ec_pem(pem.as_bytes())?;
        let mut header = Header::new(Algorithm::ES256);
        header.typ = None;
        header.kid = Some(key_id.to_owned());
        let token = sign(&header, team_id, &key, now)?;
        let state = Mutex::new(State { token, forced: None });
        Ok(Self { key, header, team_id: team_id.to_owned(), state })
    }

    /// The present token; made anew by the first who finds it old, while the others wait for it.
    pub fn token(&self, now: Timestamp) -> Token {
        let mut state = self.state();
        let age = now.duration_since(state.token.issued);
        if age >= RENEW_AFTER || age < -FUTURE_MAX {
            self.renew(&mut state, now);
        }
        state.token.clone()
    }

    /// After Apple called `refused` expired: the token made since, or a new one.
    pub fn after_expired(&self, refused: &Token, now: Timestamp) -> Token {
        let mut state = self.state();
        let recently = |at: Timestamp| now.duration_since(at) < FORCE_EVERY;
        if state.token.generation == refused.generation && !state.forced.is_some_and(recently) {
            state.forced = Some(now);
            self.renew(&mut state, now);
        }
        state.token.clone()
    }

    fn renew(&self, state: &mut State, now: Timestamp) {
        // The key signed in `new`, so it signs again; if not, Apple's answer will tell.
        if let Ok(token) = sign(&self.header, &self.team_id, &self.key, now) {
            state.token = Token { generation: state.token.generation + 1, ..token };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sign(
    header: &Header,
    team_id: &str,
    key: &EncodingKey,
    now: Timestamp,
) -> Result<Token, KeyError> {
    let claims = Claims { iss: team_id, iat: now.as_second() };
    let token = jsonwebtoken::encode(header, &claims, key)?;
    let mut bearer = HeaderValue::try_from(format!("bearer {token}"))
        .expect("base64url and dots are plain ASCII");
    // Kept out of logs.
    bearer.set_sensitive(true);
    Ok(Token { bearer, issued: now, generation: 0 })
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    fn signer(now: Timestamp) -> Signer {
        let key = rcgen::KeyPair::generate().unwrap();
        Signer::new(&key.serialize_pem(), "ABC123DEFG", "TEAM123456", now).unwrap()
    }

    fn start() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    fn minutes(count: u64) -> Timestamp {
        start() + Duration::from_secs(count * 60)
    }

    #[test]
    fn the_token_has_the_shape_of_rfc_7515_with_raw_r_and_s() {
        let token = signer(start()).token(start());
        let text = token.bearer.to_str().unwrap().strip_prefix("bearer ").unwrap().to_owned();
        let parts: Vec<_> =
            text.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        let header: Value = serde_json::from_slice(&parts[0]).unwrap();
        assert_eq!(header, json!({"alg": "ES256", "kid": "ABC123DEFG"}));
        let claims: Value = serde_json::from_slice(&parts[1]).unwrap();
        assert_eq!(claims, json!({"iss": "TEAM123456", "iat": start().as_second()}));
        assert_eq!(parts[2].len(), 64);
        assert!(token.bearer.is_sensitive());
    }

    #[test]
    fn one_token_serves_everybody_for_fifty_minutes() {
        let signer = signer(start());
        assert_eq!(signer.token(minutes(49)).generation, 0);
        assert_eq!(signer.token(minutes(50)).generation, 1);
        assert_eq!(signer.token(minutes(99)).generation, 1);
        assert_eq!(signer.token(start()).generation, 2, "a clock set back");
    }

    #[test]
    fn an_expired_token_is_replaced_once_for_all_who_hold_it() {
        let signer = signer(start());
        let refused = signer.token(minutes(5));
        assert_eq!(signer.after_expired(&refused, minutes(5)).generation, 1);
        let again = signer.after_expired(&refused, minutes(6));
        assert_eq!(again.generation, 1, "made since");
        assert_eq!(signer.after_expired(&again, minutes(7)).generation, 1, "too soon");
        assert_eq!(signer.after_expired(&again, minutes(25)).generation, 2);
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        assert!(Signer::new("no key", "K", "T", start()).is_err());
    }
}
