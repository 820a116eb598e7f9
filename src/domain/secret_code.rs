//! Secret codes: how somebody who reported anonymously follows what became of it. The agency makes
//! the code, gives it to the citizen, and gives Loa its hash alone.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::domain::ids::SubjectId;

/// Fewest characters of a code. Twelve of 32 are 60 bits: whoever reads the log tries as many
/// hashes.
pub const CODE_MIN: usize = 12;
/// Most characters of a code.
pub const CODE_MAX: usize = 64;
/// What stands before the subjects that follow from codes; no citizen's pseudonym is as long.
pub const SUBJECT_PREFIX: &str = "anonymous_";

/// A code as a citizen gives it. Its Debug form never shows it.
#[derive(Clone)]
pub struct SecretCode(String);

/// A text that cannot be a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret code has {CODE_MIN} to {CODE_MAX} letters A-Z and digits")]
pub struct BadCode;

impl SecretCode {
    /// Reads a code as people write it: blanks, hyphens and small letters make no difference.
    pub fn parse(text: &str) -> Result<Self, BadCode> {
        if text.len() > 2 * CODE_MAX {
            return Err(BadCode);
        }
        let code: String = text.chars().filter(|c| *c != ' ' && *c != '-').collect();
        let fits = (CODE_MIN..=CODE_MAX).contains(&code.len());
        if !fits || !code.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(BadCode);
        }
        Ok(Self(code.to_ascii_uppercase()))
    }

    /// Its hash for one report: SHA-256 over kind, reference and code, each but the last ended by a
    /// line feed. So equal codes of two reports do not show.
    pub fn hash(&self, kind: &str, reference: &str) -> CodeHash {
        CodeHash(Sha256::digest(format!("{kind}\n{reference}\n{}", self.0)).into())
    }
}

impl fmt::Debug for SecretCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretCode(redacted)")
    }
}

/// What is known of a code: 64 small hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeHash([u8; 32]);

impl CodeHash {
    /// Whether both are of the same code, in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// Whom the report's publications are for: nobody who logs in. It is found by this alone, so a
    /// wrong code and an unknown report are looked for alike.
    pub fn subject(&self) -> SubjectId {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let name = URL_SAFE_NO_PAD.encode(Sha256::digest(self.0));
        let subject = format!("{SUBJECT_PREFIX}{name}");
        subject.parse().expect("53 characters of base64url are a subject")
    }
}

impl fmt::Debug for CodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeHash(redacted)")
    }
}

/// A text that is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code's hash is its SHA-256 as 64 digits of 0-9 and a-f")]
pub struct BadHash;

impl TryFrom<String> for CodeHash {
    type Error = BadHash;

    fn try_from(text: String) -> Result<Self, BadHash> {
        let small = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() != 64 || !text.bytes().all(small) {
            return Err(BadHash);
        }
        let mut hash = [0; 32];
        for (index, byte) in hash.iter_mut().enumerate() {
            let digits = &text[2 * index..2 * index + 2];
            *byte = u8::from_str_radix(digits, 16).map_err(|_| BadHash)?;
        }
        Ok(Self(hash))
    }
}

impl From<CodeHash> for String {
    fn from(hash: CodeHash) -> Self {
        hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = "1022-2026-0918871";

    fn hash(code: &str) -> CodeHash {
        SecretCode::parse(code).expect("a code").hash("report-1022", REFERENCE)
    }

    #[test]
    fn the_hash_is_the_one_that_the_agencies_guide_makes() {
        // printf '%s\n%s\n%s' report-1022 1022-2026-0918871 K7QM2XR9PDWA4T6H | sha256sum
        let known = "5c4af8989dd582ec105353cec26c14d81c67483121eedb414c1b4d1ebfade296";
        assert_eq!(String::from(hash("K7QM2XR9PDWA4T6H")), known);
        let read = CodeHash::try_from(known.to_owned()).expect("a hash");
        assert!(read.matches(&hash("k7qm-2xr9 pdwa-4t6h")), "as people write it");
    }

    #[test]
    fn another_code_report_or_kind_is_another_hash_and_another_subject() {
        let code = SecretCode::parse("K7QM2XR9PDWA4T6H").expect("a code");
        let ours = code.hash("report-1022", REFERENCE);
        let others = [
            hash("K7QM2XR9PDWA4T6J"),
            code.hash("report-1022", "1022-2026-0918872"),
            code.hash("dossier", REFERENCE),
        ];
        for other in others {
            assert!(!ours.matches(&other));
            assert_ne!(ours.subject(), other.subject());
        }
        assert!(ours.subject().as_str().starts_with(SUBJECT_PREFIX));
    }

    #[test]
    fn what_is_no_code_and_what_is_no_hash_is_refused() {
        for text in ["", "K7QM2XR9PDW", "K7QM2XR9PDW!", "K7QM2XR9PDWÁ", &"A".repeat(65), "- - -"] {
            assert_eq!(SecretCode::parse(text).err(), Some(BadCode), "{text}");
        }
        for text in ["", "ab", &"A".repeat(64), &"g".repeat(64), &"0".repeat(63), &"é".repeat(32)]
        {
            assert_eq!(CodeHash::try_from(text.to_owned()), Err(BadHash), "{text}");
        }
    }

    #[test]
    fn neither_code_nor_hash_shows_in_a_log_line() {
        let code = SecretCode::parse("K7QM2XR9PDWA4T6H").expect("a code");
        let shown = format!("{code:?} {:?}", hash("K7QM2XR9PDWA4T6H"));
        assert_eq!(shown, "SecretCode(redacted) CodeHash(redacted)");
    }
}
