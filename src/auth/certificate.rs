//! Certificates of agencies: read when they are registered, and signatures verified with them.
//!
//! A certificate is trusted because an admin registered it: there is no path to an authority, no
//! revocation list, and a chain that comes along is not looked at. Whoever loses a key has its
//! certificate removed.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use x509_parser::oid_registry::{OID_EC_P256, OID_NIST_EC_P384};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::domain::certificate::{Certificate, Hash, KeyKind, Scheme, SignedBy};

/// The most bytes of a certificate's PEM. One with an RSA key of 8,192 bits has about 3,500.
pub const PEM_BYTES_MAX: usize = 16 * 1024;
/// The shortest and the longest RSA key, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// The longest name of a subject that is kept, in characters.
const SUBJECT_CHARS_MAX: usize = 200;
/// What a certificate is called in PEM (RFC 7468, section 5).
const LABEL: &str = "CERTIFICATE";

/// Why a certificate is not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Too many bytes.
    #[error("must have at most {PEM_BYTES_MAX} bytes")]
    Long,
    /// Not one certificate in PEM.
    #[error("must be one certificate in PEM (BEGIN CERTIFICATE) and nothing else")]
    NotOne,
    /// Not a certificate.
    #[error("is no X.509 certificate that can be read")]
    Unreadable,
    /// Its key is of a kind, or a length, that is not accepted.
    #[error("its key must be RSA of 2,048 to 8,192 bits, or ECDSA on P-256 or P-384")]
    Key,
    /// It says that its key is not for signing.
    #[error("its key usage does not include digitalSignature")]
    Usage,
    /// Its time is over.
    #[error("it expired at {0}")]
    Expired(Timestamp),
}

/// Reads a certificate that is to be registered.
pub fn read_pem(text: &str, now: Timestamp) -> Result<Certificate, Unfit> {
    if text.len() > PEM_BYTES_MAX {
        return Err(Unfit::Long);
    }
    let mut blocks = Pem::iter_from_buffer(text.as_bytes());
    let (Some(Ok(block)), None) = (blocks.next(), blocks.next()) else {
        return Err(Unfit::NotOne);
    };
    if block.label != LABEL {
        return Err(Unfit::NotOne);
    }
    let parsed = X509Certificate::from_der(&block.contents);
    let (rest, certificate) = parsed.map_err(|_| Unfit::Unreadable)?;
    if !rest.is_empty() {
        return Err(Unfit::Unreadable);
    }
    let usage = certificate.key_usage().map_err(|_| Unfit::Unreadable)?;
    if usage.is_some_and(|usage| !usage.value.digital_signature()) {
        return Err(Unfit::Usage);
    }
    let (kind, bits) = kind_of(certificate.public_key())?;
    let key = &certificate.public_key().subject_public_key.data;
    let not_after = moment(certificate.validity().not_after)?;
    if now > not_after {
        return Err(Unfit::Expired(not_after));
    }
    let subject = certificate.subject().to_string();
    Ok(Certificate {
        fingerprint: fingerprint(&block.contents),
        subject: subject.chars().filter(|c| !c.is_control()).take(SUBJECT_CHARS_MAX).collect(),
        kind,
        bits,
        public_key: STANDARD.encode(key),
        not_before: moment(certificate.validity().not_before)?,
        not_after,
    })
}

/// SHA-256 of a certificate (DER), in small hexadecimal digits.
pub fn fingerprint(der: &[u8]) -> String {
    Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn moment(time: ASN1Time) -> Result<Timestamp, Unfit> {
    Timestamp::from_second(time.timestamp()).map_err(|_| Unfit::Unreadable)
}

fn kind_of(key: &SubjectPublicKeyInfo<'_>) -> Result<(KeyKind, u16), Unfit> {
    let parsed = key.parsed().map_err(|_| Unfit::Key)?;
    let bits = parsed.key_size();
    let curve = || key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
    let kind = match parsed {
        PublicKey::RSA(_) if RSA_BITS.contains(&bits) => KeyKind::Rsa,
        PublicKey::EC(_) if curve().is_some_and(|oid| oid == OID_EC_P256) => KeyKind::P256,
        PublicKey::EC(_) if curve().is_some_and(|oid| oid == OID_NIST_EC_P384) => KeyKind::P384,
        _ => return Err(Unfit::Key),
    };
    let algorithm = algorithm(kind, usual(kind)).ok_or(Unfit::Key)?;
    let data = &key.subject_public_key.data;
    // A point that is on no curve, or a modulus that is none, is told now and not at an alert.
    ParsedPublicKey::new(algorithm, data).map_err(|_| Unfit::Key)?;
    Ok((kind, u16::try_from(bits).map_err(|_| Unfit::Key)?))
}

/// A scheme that every key of a kind makes signatures by.
fn usual(kind: KeyKind) -> Scheme {
    match kind {
        KeyKind::Rsa => Scheme::RsaPkcs1(Hash::Sha256),
        KeyKind::P256 => Scheme::Ecdsa(Hash::Sha256),
        KeyKind::P384 => Scheme::Ecdsa(Hash::Sha384),
    }
}

/// How a scheme is verified with a kind of key; none if the two do not go together. A curve goes
/// with the hash of its own strength.
fn algorithm(kind: KeyKind, scheme: Scheme) -> Option<&'static dyn VerificationAlgorithm> {
    match (kind, scheme) {
        (KeyKind::Rsa, Scheme::RsaPkcs1(Hash::Sha256)) => Some(&RSA_PKCS1_2048_8192_SHA256),
        (KeyKind::Rsa, Scheme::RsaPkcs1(Hash::Sha384)) => Some(&RSA_PKCS1_2048_8192_SHA384),
        (KeyKind::Rsa, Scheme::RsaPkcs1(Hash::Sha512)) => Some(&RSA_PKCS1_2048_8192_SHA512),
        (KeyKind::Rsa, Scheme::RsaPss(Hash::Sha256)) => Some(&RSA_PSS_2048_8192_SHA256),
        (KeyKind::Rsa, Scheme::RsaPss(Hash::Sha384)) => Some(&RSA_PSS_2048_8192_SHA384),
        (KeyKind::Rsa, Scheme::RsaPss(Hash::Sha512)) => Some(&RSA_PSS_2048_8192_SHA512),
        (KeyKind::P256, Scheme::Ecdsa(Hash::Sha256)) => Some(&ECDSA_P256_SHA256_FIXED),
        (KeyKind::P384, Scheme::Ecdsa(Hash::Sha384)) => Some(&ECDSA_P384_SHA384_FIXED),
        _ => None,
    }
}

/// Something that was signed.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// How the signature says that it was made.
    pub scheme: Scheme,
    /// What was signed.
    pub text: &'a [u8],
    /// The signature.
    pub value: &'a [u8],
    /// Certificates (DER) that came with it.
    pub presented: &'a [Vec<u8>],
}

/// Why a signature is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// What came with it is none that the agency registered.
    #[error("comes with a certificate that the agency did not register")]
    Stranger,
    /// No certificate's key goes with the algorithm.
    #[error("is by an algorithm that no certificate of the agency has a key for")]
    Algorithm,
    /// No key made it.
    #[error("is by no certificate of the agency, or the words were changed")]
    Value,
    /// It is by a certificate that does not hold yet.
    #[error("is by certificate `{0}`, which is not valid before {1}")]
    Early(String, Timestamp),
    /// It is by a certificate whose time is over.
    #[error("is by certificate `{0}`, which expired at {1}")]
    Expired(String, Timestamp),
}

impl Distrust {
    /// The rule's stable name.
    pub fn rule(&self) -> &'static str {
        match self {
            Distrust::Stranger => "signature_certificate",
            Distrust::Algorithm => "signature_key",
            Distrust::Value => "signature_value",
            Distrust::Early(..) => "certificate_not_yet_valid",
            Distrust::Expired(..) => "certificate_expired",
        }
    }
}

/// Whose signature it is, of the agency's certificates that hold now.
pub fn signer(
    certificates: &BTreeMap<String, Certificate>,
    claim: Claim<'_>,
    now: Timestamp,
) -> Result<SignedBy, Distrust> {
    let named: Vec<String> = claim.presented.iter().map(|der| fingerprint(der)).collect();
    let chosen: Vec<_> = certificates
        .iter()
        .filter(|(_, one)| named.is_empty() || named.contains(&one.fingerprint))
        .collect();
    if chosen.is_empty() {
        return Err(Distrust::Stranger);
    }
    let fits = |one: &Certificate| algorithm(one.kind, claim.scheme).is_some();
    if !chosen.iter().any(|(_, one)| fits(one)) {
        return Err(Distrust::Algorithm);
    }
    let mut why = Distrust::Value;
    for (name, one) in chosen.into_iter().filter(|(_, one)| verifies(one, claim)) {
        if now < one.not_before {
            why = Distrust::Early(name.clone(), one.not_before);
        } else if now > one.not_after {
            why = Distrust::Expired(name.clone(), one.not_after);
        } else {
            let (certificate, fingerprint) = (name.clone(), one.fingerprint.clone());
            return Ok(SignedBy { certificate, fingerprint });
        }
    }
    Err(why)
}

/// Whether a certificate's key made a signature, whatever the time.
fn verifies(certificate: &Certificate, claim: Claim<'_>) -> bool {
    let Some(algorithm) = algorithm(certificate.kind, claim.scheme) else { return false };
    let Ok(key) = STANDARD.decode(&certificate.public_key) else { return false };
    UnparsedPublicKey::new(algorithm, key).verify(claim.text, claim.value).is_ok()
}
