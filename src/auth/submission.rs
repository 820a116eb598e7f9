//! Signed submissions: an agency proves with an Ed25519 key that a record on the log is its own.
//!
//! Anyone whom the brokers let write to the topic could name any agency. So the record carries
//! `loa-key-id` and `loa-signature` (base64), made with a private key that only the agency has,
//! over [`signed`]. The public key is registered with `loa agencies submission-key`.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::domain::agency::{Agency, PublicKey};

/// The header with the name of the key.
pub const KEY_ID: &str = "loa-key-id";
/// The header with the signature.
pub const SIGNATURE: &str = "loa-signature";
/// What every signed text begins with, so that a signature is good for nothing else.
const PURPOSE: &str = "loa-submission-v1";
/// The beginning of an Ed25519 public key in DER (RFC 8410); the key's 32 bytes follow.
const DER_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What is signed: purpose, `ce_id`, `ce_source` and `ce_type`, a line each, then the payload. None
/// of the three may hold a line end.
pub fn signed((id, source, event_type): (&str, &str, &str), payload: &[u8]) -> Option<Vec<u8>> {
    if [id, source, event_type].iter().any(|text| text.contains('\n')) {
        return None;
    }
    let head = format!("{PURPOSE}\n{id}\n{source}\n{event_type}\n");
    Some([head.as_bytes(), payload].concat())
}

/// Whether a signature (base64, either alphabet) over a text is by the agency's key of that name.
pub fn verify(agency: &Agency, key_id: &str, text: &[u8], signature: &str) -> bool {
    let Some(key) = agency.submission_keys.get(key_id) else { return false };
    let decoded = STANDARD.decode(signature).or_else(|_| URL_SAFE_NO_PAD.decode(signature));
    let Ok(signature) = decoded else { return false };
    UnparsedPublicKey::new(&ED25519, key.as_bytes()).verify(text, &signature).is_ok()
}

/// Reads a public key in PEM, as `openssl pkey -pubout` writes it.
pub fn read_pem(text: &str) -> Option<PublicKey> {
    let body = text.split("-----BEGIN PUBLIC KEY-----").nth(1)?;
    let body = body.split("-----END PUBLIC KEY-----").next()?;
    let packed: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    let der = STANDARD.decode(packed).ok()?;
    let key = der.strip_prefix(&DER_HEAD)?;
    Some(PublicKey::from(<[u8; 32]>::try_from(key).ok()?))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::*;
    use crate::domain::agency::Jurisdiction;

    #[test]
    fn only_the_registered_key_over_the_same_words_is_good() {
        let pair = Ed25519KeyPair::generate().expect("a pair");
        let public: [u8; 32] = pair.public_key().as_ref().try_into().expect("32 bytes");
        let der = STANDARD.encode([&DER_HEAD[..], &public].concat());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
        let key = read_pem(&pem).expect("a key");
        assert_eq!(key.as_bytes(), &public);
        let agency = Agency {
            id: "pc07".parse().expect("an id"),
            name: "PC07".to_owned(),
            jurisdiction: Jurisdiction::unlimited(),
            operator: false,
            second_person: false,
            submission_keys: [("desk".to_owned(), key)].into(),
            cap_signing: Default::default(),
        };
        let text = signed(("1", "/agencies/pc07", "t"), b"<alert/>").expect("plain");
        let signature = STANDARD.encode(pair.sign(&text));
        assert!(verify(&agency, "desk", &text, &signature));
        assert!(!verify(&agency, "other", &text, &signature));
        let other = signed(("2", "/agencies/pc07", "t"), b"<alert/>").expect("plain");
        assert!(!verify(&agency, "desk", &other, &signature));
        assert!(!verify(&agency, "desk", &text, "no base64!"));
        assert!(signed(("1\n2", "s", "t"), b"").is_none());
        assert!(read_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----").is_none());
    }
}
