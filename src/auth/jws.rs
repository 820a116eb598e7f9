//! The signature an alert leaves with: a JSON Web Signature (RFC 7515) by Ed25519 (RFC 8037) over
//! the CAP document, byte for byte as `/v1/cap/{id}.xml` serves it. The document itself is left out
//! (RFC 7515, appendix F): whoever verifies fetches it and puts it, base64url, between the dots.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;

use crate::auth::ring::{Key, Purpose, Ring};

/// The one algorithm. What names another is refused, `none` among them.
const ALGORITHM: &str = "EdDSA";
/// Bytes of a signature as it is written.
pub const BYTES: usize = 183;
/// Longest signature that is read.
const BYTES_MAX: usize = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
}

/// Signs a document; `header..signature`.
pub fn sign(key: &Key, document: &[u8]) -> String {
    let header = format!(r#"{{"alg":"{ALGORITHM}","kid":"{}"}}"#, key.kid());
    let header = URL_SAFE_NO_PAD.encode(header);
    let signature = key.sign(&input(&header, document));
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Whether a signature over a document is by one of the ring's keys for alerts.
pub fn verify(ring: &Ring, signature: &str, document: &[u8], now: Timestamp) -> bool {
    read(ring, signature, document, now).unwrap_or(false)
}

fn read(ring: &Ring, signature: &str, document: &[u8], now: Timestamp) -> Option<bool> {
    let (encoded, signature) =
        signature.split_once("..").filter(|_| signature.len() <= BYTES_MAX)?;
    let header = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let header: Header = serde_json::from_slice(&header).ok()?;
    let key = ring.verifier(Purpose::Alerts, &header.kid, now)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    Some(header.alg == ALGORITHM && key.verify(&input(encoded, document), &signature))
}

fn input(header: &str, document: &[u8]) -> Vec<u8> {
    format!("{header}.{}", URL_SAFE_NO_PAD.encode(document)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_document_by_this_key_and_algorithm_is_genuine() {
        let (ring, now) = (Ring::fresh(), Timestamp::UNIX_EPOCH);
        let key = ring.signer(Purpose::Alerts, now).expect("a key");
        let signed = sign(key, b"<alert/>");
        assert!(verify(&ring, &signed, b"<alert/>", now));
        assert_eq!(signed.len(), BYTES);
        assert!(!verify(&ring, &signed, b"<alert />", now), "other words");
        assert!(!verify(&Ring::fresh(), &signed, b"<alert/>", now), "another ring");
        let records = ring.signer(Purpose::Records, now).expect("a key");
        assert!(!verify(&ring, &sign(records, b"<alert/>"), b"<alert/>", now), "another purpose");
        let (_, signature) = signed.split_once("..").expect("two parts");
        let kid = key.kid();
        let headers = [
            format!(r#"{{"alg":"none","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"EdDSA","kid":"{kid}","crit":["b64"]}}"#),
            r#"{"alg":"EdDSA"}"#.to_owned(),
        ];
        for header in headers {
            let forged = format!("{}..{signature}", URL_SAFE_NO_PAD.encode(&header));
            assert!(!verify(&ring, &forged, b"<alert/>", now), "{header}");
        }
        let none = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"none","kid":"{kid}"}}"#));
        for broken in ["", "..", ".", &format!("{none}.."), "a.b.c"] {
            assert!(!verify(&ring, broken, b"<alert/>", now), "{broken}");
        }
    }
}
