//! Passwords of people: Argon2id with a salt of its own each, as a PHC string.
//!
//! Hashing takes 19 MiB and some ten milliseconds on purpose: both functions block, so call them
//! away from the runtime's workers and only a few at a time.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

/// A password could not be hashed: the system has no randomness or no memory.
#[derive(Debug, thiserror::Error)]
#[error("a password could not be hashed: {0}")]
pub struct Error(String);

/// The hash of a password, to be stored. Blocking.
pub fn hash(password: &str) -> Result<String, Error> {
    let hashed = Argon2::default().hash_password(password.as_bytes());
    hashed.map(|hash| hash.to_string()).map_err(|error| Error(error.to_string()))
}

/// Whether a password is the one behind a hash. Without a hash as much work is done in vain, so
/// that the time does not tell who exists. Blocking.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let parsed = hash.and_then(|hash| PasswordHash::new(hash).ok());
    match parsed {
        Some(parsed) => Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok(),
        None => {
            let _ = self::hash(password);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let hashed = hash("một mật khẩu dài").expect("hashed");
        assert!(hashed.starts_with("$argon2id$") && !hashed.contains("khẩu"), "{hashed}");
        assert!(verify("một mật khẩu dài", Some(&hashed)));
        assert!(!verify("một mật khẩu khác", Some(&hashed)));
        assert!(!verify("", None) && !verify("x", Some("no hash")));
        assert_ne!(hash("một mật khẩu dài").expect("hashed"), hashed, "salted");
    }
}
