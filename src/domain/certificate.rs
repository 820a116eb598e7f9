//! Certificates that agencies sign their CAP messages with, as an admin registered them.
//!
//! A registered certificate is trusted itself: there is no chain to an authority behind it. So
//! what is kept is what verifying needs, and what people know it by.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The most certificates of one agency: one in use, one that follows it, and some to spare.
pub const CERTIFICATES_MAX: usize = 8;

/// Whether a text may name a certificate: 1 to 64 letters, digits, dots, dashes and underscores.
pub fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=64).contains(&text.len()) && text.chars().all(fits)
}

/// How an agency signs its CAP messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapSigning {
    /// Its certificates, by name. While there is one, a signature that is there must verify.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub certificates: BTreeMap<String, Certificate>,
    /// What its programs say must be CAP XML with a signature that verifies.
    #[serde(default)]
    pub required: bool,
}

impl CapSigning {
    /// Whether nothing is set.
    pub fn is_unused(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it lets more be said than another: a certificate more, or nothing required.
    pub fn exceeds(&self, before: &CapSigning) -> bool {
        let known = |one: &Certificate| before.certificates.values().any(|known| known == one);
        (before.required && !self.required) || !self.certificates.values().all(known)
    }
}

/// A registered certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// SHA-256 of the whole certificate (DER), 64 small hexadecimal digits.
    pub fingerprint: String,
    /// Whom it names.
    pub subject: String,
    /// What kind of key it holds.
    pub kind: KeyKind,
    /// How long the key is, in bits.
    pub bits: u16,
    /// The public key in base64: PKCS #1 for RSA, the uncompressed point for the curves.
    pub public_key: String,
    /// It verifies nothing before.
    pub not_before: Timestamp,
    /// It verifies nothing after.
    pub not_after: Timestamp,
}

/// The kinds of keys that sign CAP messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// RSA, of 2,048 to 8,192 bits.
    Rsa,
    /// ECDSA on the curve P-256.
    P256,
    /// ECDSA on the curve P-384.
    P384,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyKind::Rsa => "RSA",
            KeyKind::P256 => "ECDSA P-256",
            KeyKind::P384 => "ECDSA P-384",
        })
    }
}

/// The hashes of signatures and digests; SHA-1 is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How a signature was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2).
    RsaPkcs1(Hash),
    /// RSASSA-PSS with MGF1 and a salt as long as the hash (RFC 9231, section 2.3.10).
    RsaPss(Hash),
    /// ECDSA, r and s side by side (RFC 9231, section 2.3.6).
    Ecdsa(Hash),
}

/// What verified a publication when it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedBy {
    /// The certificate's name at its agency, as it was then.
    pub certificate: String,
    /// Its fingerprint.
    pub fingerprint: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(fingerprint: &str) -> Certificate {
        Certificate {
            fingerprint: fingerprint.to_owned(),
            subject: "CN=desk".to_owned(),
            kind: KeyKind::P256,
            bits: 256,
            public_key: String::new(),
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::MAX,
        }
    }

    fn signing(fingerprints: &[&str], required: bool) -> CapSigning {
        let named = fingerprints.iter().map(|one| ((*one).to_owned(), certificate(one)));
        CapSigning { certificates: named.collect(), required }
    }

    #[test]
    fn a_certificate_more_and_nothing_required_give_more() {
        let before = signing(&["a"], true);
        assert!(!before.exceeds(&before));
        assert!(signing(&["a", "b"], true).exceeds(&before));
        assert!(signing(&["b"], true).exceeds(&before), "another in its place");
        assert!(signing(&["a"], false).exceeds(&before));
        assert!(!signing(&[], true).exceeds(&before), "one less");
        assert!(!before.exceeds(&signing(&["a"], false)), "required from now on");
    }

    #[test]
    fn a_name_is_short_and_plain() {
        assert!(is_name("duty-desk_2026.1") && is_name(&"x".repeat(64)));
        for bad in ["", "a b", "a/b", "ủ", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_not_set_is_not_written() {
        assert!(CapSigning::default().is_unused() && !signing(&[], true).is_unused());
        let text = serde_json::to_string(&signing(&["a"], false)).expect("plain data");
        assert!(text.contains(r#""kind":"p256""#), "{text}");
        let read: CapSigning = serde_json::from_str("{}").expect("read");
        assert!(read.is_unused());
    }
}
