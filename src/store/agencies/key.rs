//! API keys: `loa_` and 43 characters of base64url, which are 32 random bytes.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

const PREFIX: &str = "loa_";
const SECRET_BYTES: usize = 32;

/// An agency's secret. Its Debug form never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// A new key from the operating system's randomness.
    pub fn generate() -> Self {
        let secret: [u8; SECRET_BYTES] = rand::random();
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret)))
    }

    /// The key itself, to be shown to its owner and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(redacted)")
    }
}

/// What is stored of a key; none if the text has not a key's form, so that nothing is looked up.
///
/// A plain hash is enough: the secret has 256 random bits, so there is nothing to guess that salt
/// or a slow hash would protect.
pub(super) fn digest(key: &str) -> Option<[u8; 32]> {
    let secret = URL_SAFE_NO_PAD.decode(key.strip_prefix(PREFIX)?).ok()?;
    (secret.len() == SECRET_BYTES).then(|| Sha256::digest(key.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_form_and_never_show_in_debug_output() {
        let key = ApiKey::generate();
        assert_eq!(key.expose().len(), PREFIX.len() + 43);
        assert!(digest(key.expose()).is_some());
        assert_eq!(format!("{key:?}"), "ApiKey(redacted)");
        assert_ne!(key, ApiKey::generate());
    }

    #[test]
    fn what_has_not_the_form_of_a_key_has_no_digest() {
        let key = ApiKey::generate();
        let short = &key.expose()[..46];
        let without_prefix = &key.expose()[4..];
        for text in ["", "loa_", short, without_prefix, "loa_ä", "Bearer loa_x"] {
            assert_eq!(digest(text), None, "{text}");
        }
    }
}
