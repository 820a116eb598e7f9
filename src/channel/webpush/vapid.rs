//! Who we are to a push service (RFC 8292): an ES256 JSON Web Token for the service's origin, made
//! with the key whose public half every browser subscribed with.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::webpush::{POINT_BYTES, decode};

/// How long a token is good. RFC 8292 allows a day; half of it bears a clock that is hours wrong.
const LIFE: SignedDuration = SignedDuration::from_hours(12);
/// A token is renewed at this age.
const RENEW_AFTER: SignedDuration = SignedDuration::from_hours(6);
/// A token from further in the future than this was made before the clock was set back.
const FUTURE_MAX: SignedDuration = SignedDuration::from_mins(1);
/// Bytes of the private key.
const KEY_BYTES: usize = 32;
/// `{"typ":"JWT","alg":"ES256"}`, base64url.
const HEADER: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9";

/// The text is no private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a P-256 private key, 32 bytes as base64url")]
pub struct KeyError;

/// Our key pair.
pub struct Key {
    pair: EcdsaKeyPair,
    public: String,
}

impl Key {
    /// A private key, 32 bytes as base64url.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let private: [u8; KEY_BYTES] = decode(text.trim()).ok_or(KeyError)?;
        let public = PrivateKey::from_private_key(&ECDH_P256, &private)
            .map_err(|_| KeyError)?
            .compute_public_key()
            .map_err(|_| KeyError)?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, &private, public.as_ref())
                .map_err(|_| KeyError)?;
        debug_assert_eq!(public.as_ref().len(), POINT_BYTES);
        Ok(Self { pair, public: URL_SAFE_NO_PAD.encode(public) })
    }

    /// A new private key, as [`Key::parse`] reads it.
    pub fn generate() -> Result<String, KeyError> {
        let key = PrivateKey::generate(&ECDH_P256).map_err(|_| KeyError)?;
        let bytes: EcPrivateKeyBin<'_> = key.as_be_bytes().map_err(|_| KeyError)?;
        Ok(URL_SAFE_NO_PAD.encode(bytes.as_ref()))
    }

    /// The public half, an uncompressed point as base64url: browsers' `applicationServerKey`.
    pub fn public(&self) -> &str {
        &self.public
    }

    fn token(&self, claims: &Claims<'_>) -> Result<String, KeyError> {
        let claims = serde_json::to_vec(claims).expect("plain text always serialises");
        let mut token = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), token.as_bytes());
        let signature = signature.map_err(|_| KeyError)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: i64,
    sub: &'a str,
}

/// The token for one push service, and what is known of it. Clones share that.
#[derive(Clone)]
pub struct Token {
    /// `vapid t=…, k=…`.
    pub header: HeaderValue,
    issued: Timestamp,
    fate: Arc<Fate>,
}

#[derive(Default)]
struct Fate {
    accepted: AtomicBool,
    refused: AtomicBool,
}

impl Token {
    /// The service took a push with it.
    pub fn was_accepted(&self) {
        // Looked at first: a write for each push would take the line from the other cores.
        if !self.fate.accepted.load(Ordering::Relaxed) {
            self.fate.accepted.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the service took any push with it, and it is not old: what is refused then is a
    /// subscription, not us. One that grew old on its way may have been refused for that.
    pub fn is_proven(&self, now: Timestamp) -> bool {
        self.fate.accepted.load(Ordering::Relaxed) && !self.is_old(now)
    }

    fn is_old(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.issued);
        age >= RENEW_AFTER || age < -FUTURE_MAX
    }

    /// The service refused it before it took any; true for the first time.
    pub fn was_refused(&self) -> bool {
        !self.fate.refused.swap(true, Ordering::Relaxed)
    }
}

/// Makes and keeps the token for one push service; whoever finds it old makes the next one, while
/// the others wait those microseconds.
pub struct Signer {
    key: Arc<Key>,
    contact: Arc<str>,
    audience: String,
    token: Mutex<Token>,
}

impl Signer {
    /// A signer for an origin; signs once.
    pub fn new(
        key: Arc<Key>,
        contact: Arc<str>,
        audience: String,
        now: Timestamp,
    ) -> Result<Self, KeyError> {
        let token = Mutex::new(sign(&key, &contact, &audience, now)?);
        Ok(Self { key, contact, audience, token })
    }

    /// The present token.
    pub fn token(&self, now: Timestamp) -> Token {
        let mut token = self.present();
        if token.is_old(now)
            // The key signed before, so it signs again; if not, the service's answer will tell.
            && let Ok(fresh) = sign(&self.key, &self.contact, &self.audience, now)
        {
            *token = fresh;
        }
        token.clone()
    }

    fn present(&self) -> MutexGuard<'_, Token> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sign(key: &Key, contact: &str, audience: &str, now: Timestamp) -> Result<Token, KeyError> {
    let exp = (now + LIFE).as_second();
    let token = key.token(&Claims { aud: audience, exp, sub: contact })?;
    let mut header = HeaderValue::try_from(format!("vapid t={token}, k={}", key.public))
        .expect("base64url is plain ASCII");
    // Kept out of logs.
    header.set_sensitive(true);
    Ok(Token { header, issued: now, fate: Arc::default() })
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.audience)
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    use serde_json::Value;

    use super::*;

    const ORIGIN: &str = "https://push.example";

    fn now() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    fn signer() -> Signer {
        let key = Key::parse(&Key::generate().unwrap()).unwrap();
        Signer::new(Arc::new(key), "mailto:loa@city.example".into(), ORIGIN.into(), now()).unwrap()
    }

    #[test]
    fn another_library_verifies_the_token_with_the_key_it_carries() {
        let header = signer().token(now()).header;
        assert!(header.is_sensitive());
        let (token, key) =
            header.to_str().unwrap().strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        let point: [u8; POINT_BYTES] = decode(key).unwrap();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        let key = DecodingKey::from_ec_components(&x, &y).unwrap();
        let mut rules = Validation::new(Algorithm::ES256);
        rules.validate_exp = false;
        rules.set_audience(&[ORIGIN]);
        let claims = jsonwebtoken::decode::<Value>(token, &key, &rules).unwrap().claims;
        assert_eq!(claims["sub"], "mailto:loa@city.example");
        assert_eq!(claims["exp"], now().as_second() + 12 * 3600);
    }

    #[test]
    fn one_token_serves_everybody_for_six_hours() {
        let signer = signer();
        let at = |minutes: i64| signer.token(now() + SignedDuration::from_mins(minutes)).header;
        let first = at(0);
        assert_eq!(at(359), first);
        let second = at(360);
        assert_ne!(second, first);
        assert_eq!(at(700), second);
        assert_ne!(at(0), second, "a clock set back");
    }

    #[test]
    fn what_is_known_of_a_token_does_not_pass_to_the_next() {
        let signer = signer();
        let token = signer.token(now());
        assert!(!token.is_proven(now()) && token.was_refused() && !token.was_refused());
        token.was_accepted();
        assert!(signer.token(now()).is_proven(now()));
        let later = now() + RENEW_AFTER;
        assert!(!token.is_proven(later), "it may have been refused for its age");
        assert!(!signer.token(later).is_proven(later));
    }

    #[test]
    fn only_a_private_key_is_a_key() {
        for bad in ["", "key", &URL_SAFE_NO_PAD.encode([0; 32]), &URL_SAFE_NO_PAD.encode([255; 32])]
        {
            assert_eq!(Key::parse(bad).unwrap_err(), KeyError, "{bad}");
        }
        let text = Key::generate().unwrap();
        assert_eq!(Key::parse(&format!("{text}\n")).unwrap().public().len(), 87);
    }
}
