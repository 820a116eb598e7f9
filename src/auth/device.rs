//! A device's secret: 32 random bytes shown once, of which only the SHA-256 is kept.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::domain::ids::DeviceId;

/// The scheme of the `Authorization` header.
pub const SCHEME: &str = "Loa-Device";
/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// A device's secret. Its Debug form never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// A new one, from the operating system's randomness by way of the thread's generator.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// As it is shown to the device, once: base64url without padding.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What is kept of it.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// A secret from its bytes, for devices that are made in bulk.
    pub fn of_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads what a device sends; `None` if it cannot be a secret.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// Whether this is the secret behind a kept hash, in constant time.
    pub fn matches(&self, kept: &[u8; 32]) -> bool {
        self.hash().ct_eq(kept).into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// The id and secret of a registration with an Idempotency-Key: always the same for the same key,
/// so that a repeat gets the secret again although it is stored nowhere.
pub fn derived(node_key: &[u8], scope: &str, idempotency_key: &str) -> (DeviceId, Secret) {
    let part = |label: &[u8]| -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(node_key).expect("HMAC takes any key");
        for bytes in [label, scope.as_bytes(), idempotency_key.as_bytes()] {
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        }
        mac.finalize().into_bytes().into()
    };
    let id: [u8; 16] = part(b"device id")[..16].try_into().expect("32 bytes hold 16");
    let id = uuid::Builder::from_random_bytes(id).into_uuid();
    (DeviceId(id), Secret(part(b"device secret")))
}

/// A new device's id and secret.
pub fn random() -> (DeviceId, Secret) {
    (DeviceId(Uuid::new_v4()), Secret::random())
}

/// Reads `<device id>:<secret>`.
pub fn parse_credentials(text: &str) -> Option<(DeviceId, Secret)> {
    let (id, secret) = text.split_once(':')?;
    Some((id.parse().ok()?, Secret::parse(secret)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_hash_alone() {
        let (id, secret) = random();
        let header = format!("{id}:{}", secret.reveal());
        let (read_id, read) = parse_credentials(&header).expect("well-formed");
        assert_eq!(read_id, id);
        assert!(read.matches(&secret.hash()));
        assert!(!Secret::random().matches(&secret.hash()));
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let (id, secret) = random();
        let short = &secret.reveal()[1..];
        for bad in ["", ":", "x:y", &format!("{id}:"), &format!("{id}:{short}")] {
            assert!(parse_credentials(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_repeated_registration_derives_the_same_device() {
        let once = derived(b"node", "scope", "key");
        assert_eq!(once, derived(b"node", "scope", "key"));
        assert_ne!(once.0, derived(b"node", "scopek", "ey").0);
        assert_ne!(once.1, derived(b"other", "scope", "key").1);
    }
}
