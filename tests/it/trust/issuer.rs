//! An identity provider of which the node knows the keys alone, so that a test can be anybody.

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use loa::auth::bearer::Settings;
use serde_json::json;

/// An issuer whose key is known to the node.
pub struct Issuer {
    signer: EncodingKey,
    /// For the node.
    pub settings: Settings,
}

impl Issuer {
    pub fn new() -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let signer = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut jwk = Jwk::from_encoding_key(&signer, Algorithm::ES256).expect("a JWK");
        jwk.common.key_id = Some("one".into());
        let set = serde_json::to_string(&JwkSet { keys: vec![jwk] }).expect("JSON");
        let settings = Settings {
            issuer: "https://id.example".into(),
            audience: "loa".into(),
            jwks: Some(set),
            jwks_file: None,
            ca_file: None,
            login: None,
        };
        Self { signer, settings }
    }

    /// The header line of a token.
    pub fn token(&self, sub: &str) -> String {
        let exp = get_current_timestamp() + 600;
        let claims = json!({"iss": self.settings.issuer, "aud": "loa", "sub": sub, "exp": exp});
        let header = Header { kid: Some("one".into()), ..Header::new(Algorithm::ES256) };
        let token = encode(&header, &claims, &self.signer).expect("a token");
        format!("authorization: Bearer {token}")
    }
}
