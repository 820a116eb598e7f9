//! Bearer tokens of the citizens' identity provider: a JWT, verified against the issuer's keys,
//! whose `sub` becomes a pseudonym. The provider's own id is never stored.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use sha2::Sha256;

use crate::domain::ids::SubjectId;

/// Seconds the issuer's clock and ours may differ.
const SKEW_SECONDS: u64 = 60;
/// Keys an issuer may have at a time.
const KEYS_MAX: usize = 32;
/// The algorithms that are accepted. Never `none`, never a shared secret.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// The citizens' identity provider.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The `iss` claim, exactly.
    pub issuer: String,
    /// The `aud` claim that means us.
    pub audience: String,
    /// The issuer's JWK set, inline.
    #[serde(default)]
    pub jwks: Option<String>,
    /// The issuer's JWK set, in a file.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Why the verifier could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither or both of `jwks` and `jwks_file`.
    #[error("give exactly one of jwks and jwks_file")]
    NoKeys,
    /// The file could not be read.
    #[error("jwks_file {path}: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The keys could not be read.
    #[error("the JWK set: {0}")]
    Keys(String),
}

/// Verifies tokens of one issuer.
pub struct Verifier {
    issuer: String,
    keys: Vec<(Option<String>, Algorithm, DecodingKey)>,
    audience: String,
    pseudonym_key: Vec<u8>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl Verifier {
    /// A verifier for an issuer. The pseudonym key turns `sub` into a subject; whoever changes it
    /// makes strangers of all citizens.
    pub fn new(settings: &Settings, pseudonym_key: &[u8]) -> Result<Self, Error> {
        let text = match (&settings.jwks, &settings.jwks_file) {
            (Some(text), None) => text.clone(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|cause| Error::File { path: path.clone(), cause })?,
            _ => return Err(Error::NoKeys),
        };
        let set: JwkSet =
            serde_json::from_str(&text).map_err(|error| Error::Keys(error.to_string()))?;
        if set.keys.is_empty() || set.keys.len() > KEYS_MAX {
            return Err(Error::Keys(format!("it must hold 1 to {KEYS_MAX} keys")));
        }
        let keys = set.keys.iter().map(usable).collect::<Result<_, _>>()?;
        Ok(Self {
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            keys,
            pseudonym_key: pseudonym_key.to_vec(),
        })
    }

    /// Whose token this is; `None` for anything that is not a good token of our issuer, for us,
    /// at this time.
    pub fn subject(&self, token: &str) -> Option<SubjectId> {
        let header = decode_header(token).ok()?;
        self.keys
            .iter()
            .filter(|(id, algorithm, _)| {
                *algorithm == header.alg && (header.kid.is_none() || *id == header.kid)
            })
            .find_map(|(_, algorithm, key)| {
                let claims = decode::<Claims>(token, key, &self.validation(*algorithm)).ok()?;
                Some(pseudonym(&self.pseudonym_key, &self.issuer, &claims.claims.sub))
            })
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
}

/// A citizen's pseudonym: base64url(HMAC-SHA256(key, iss | sub)).
pub fn pseudonym(key: &[u8], issuer: &str, sub: &str) -> SubjectId {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    mac.update(issuer.as_bytes());
    mac.update(b"|");
    mac.update(sub.as_bytes());
    let text = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    text.parse().expect("43 characters of base64url are a subject")
}

fn usable(jwk: &Jwk) -> Result<(Option<String>, Algorithm, DecodingKey), Error> {
    let key = DecodingKey::from_jwk(jwk).map_err(|error| Error::Keys(error.to_string()))?;
    // The key's own `alg` decides; without it, its type.
    let named = jwk.common.key_algorithm.map(|algorithm| algorithm.to_string());
    let algorithm = match named {
        Some(name) => ALGORITHMS.into_iter().find(|known| format!("{known:?}") == name),
        None => ALGORITHMS.into_iter().find(|known| known.family() == key.family()),
    };
    let algorithm = algorithm.ok_or_else(|| {
        Error::Keys("only keys for RS256, ES256 and EdDSA are accepted".to_owned())
    })?;
    Ok((jwk.common.key_id.clone(), algorithm, key))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://id.example";

    fn pair() -> (EncodingKey, Verifier) {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let signer = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut jwk = Jwk::from_encoding_key(&signer, Algorithm::ES256).expect("a JWK");
        jwk.common.key_id = Some("one".into());
        let set = serde_json::to_string(&JwkSet { keys: vec![jwk] }).expect("JSON");
        let settings = Settings {
            issuer: ISSUER.into(),
            audience: "loa".into(),
            jwks: Some(set),
            jwks_file: None,
        };
        (signer, Verifier::new(&settings, b"pepper").expect("one key"))
    }

    fn token(signer: &EncodingKey, change: impl FnOnce(&mut Value)) -> String {
        let now = get_current_timestamp();
        let mut claims = json!({"iss": ISSUER, "aud": "loa", "sub": "079", "exp": now + 300});
        change(&mut claims);
        let header = Header { kid: Some("one".into()), ..Header::new(Algorithm::ES256) };
        encode(&header, &claims, signer).expect("a token")
    }

    #[test]
    fn a_good_token_gives_a_pseudonym_and_never_the_id() {
        let (signer, verifier) = pair();
        let subject = verifier.subject(&token(&signer, |_| {})).expect("a good token");
        assert_eq!(subject, pseudonym(b"pepper", ISSUER, "079"));
        assert!(!subject.as_str().contains("079"));
        assert_ne!(subject, pseudonym(b"salt", ISSUER, "079"));
    }

    #[test]
    fn anything_else_is_refused() {
        let (signer, verifier) = pair();
        let now = get_current_timestamp();
        type Change = Box<dyn Fn(&mut Value)>;
        let changes: [(&str, Change); 6] = [
            ("issuer", Box::new(|c| c["iss"] = json!("https://evil.example"))),
            ("audience", Box::new(|c| c["aud"] = json!("other"))),
            ("expired", Box::new(move |c| c["exp"] = json!(now - SKEW_SECONDS - 5))),
            ("not yet", Box::new(move |c| c["nbf"] = json!(now + SKEW_SECONDS + 30))),
            ("no sub", Box::new(|c| c["sub"] = Value::Null)),
            ("no exp", Box::new(|c| c["exp"] = Value::Null)),
        ];
        for (what, change) in changes {
            assert_eq!(verifier.subject(&token(&signer, change)), None, "{what}");
        }
        let within = token(&signer, |c| c["exp"] = json!(now - SKEW_SECONDS / 2));
        assert!(verifier.subject(&within).is_some(), "clocks may differ by a minute");
        let (stranger, _) = pair();
        assert_eq!(verifier.subject(&token(&stranger, |_| {})), None, "another key");
        let shared = EncodingKey::from_secret(b"shared");
        let hs = encode(&Header::default(), &json!({"sub": "079"}), &shared).expect("a token");
        assert_eq!(verifier.subject(&hs), None, "a shared secret");
        assert_eq!(verifier.subject("a.b.c"), None);
    }
}
