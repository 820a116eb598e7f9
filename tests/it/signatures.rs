//! CAP messages with their agency's own XML signature: verified with registered certificates, or
//! refused by name.

mod asked;
mod attacks;
mod clients;
mod real;
mod roads;

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use jiff::Timestamp;
use loa::auth::certificate::{self, Unfit};
use loa::domain::agency::Agency;
use loa::domain::audit::{Act, Link};
use loa::domain::certificate::{Certificate, KeyKind};
use loa::store::audit::Filter;
use rcgen::{CertificateParams, DnType, KeyPair, KeyUsagePurpose, date_time_ymd};
use serde_json::json;

use crate::support::http::Answer;
use crate::support::node::{AlertXml, CENTRE, TestNode};

const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const MORE: &str = "http://www.w3.org/2001/04/xmldsig-more#";
const PSS: &str = "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1";

/// What an agency signs with.
enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Pss(RsaKeyPair),
}

/// A key with its certificate.
struct Key {
    pair: Pair,
    pem: String,
    der: Vec<u8>,
}

fn self_signed(pair: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> (String, Vec<u8>) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "PC07 duty desk");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2090, 1, 1);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    change(&mut params);
    let made = params.self_signed(pair).expect("a certificate");
    (made.pem(), made.der().to_vec())
}

impl Key {
    fn p256() -> Self {
        let made = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a pair");
        let (pem, der) = self_signed(&made, |_| {});
        let pkcs8 = made.serialize_der();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8);
        Self { pair: Pair::P256(pair.expect("a pair")), pem, der }
    }

    fn p384() -> Self {
        let made = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a pair");
        let (pem, der) = self_signed(&made, |_| {});
        let pkcs8 = made.serialize_der();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &pkcs8);
        Self { pair: Pair::P384(pair.expect("a pair")), pem, der }
    }

    fn rsa(pss: bool) -> Self {
        let made = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a pair");
        let (pem, der) = self_signed(&made, |_| {});
        let pair = RsaKeyPair::from_pkcs8(&made.serialize_der()).expect("a pair");
        Self { pair: if pss { Pair::Pss(pair) } else { Pair::Rsa(pair) }, pem, der }
    }

    fn certificate(&self) -> Certificate {
        certificate::read_pem(&self.pem, Timestamp::now()).expect("it fits")
    }

    fn algorithm(&self) -> String {
        match self.pair {
            Pair::P256(_) => format!("{MORE}ecdsa-sha256"),
            Pair::P384(_) => format!("{MORE}ecdsa-sha384"),
            Pair::Rsa(_) => format!("{MORE}rsa-sha256"),
            Pair::Pss(_) => PSS.to_owned(),
        }
    }

    fn value(&self, text: &[u8]) -> String {
        let rng = SystemRandom::new();
        let rsa = |pair: &RsaKeyPair, how: &'static dyn aws_lc_rs::signature::RsaEncoding| {
            let mut out = vec![0; pair.public_modulus_len()];
            pair.sign(how, &rng, text, &mut out).expect("signed");
            out
        };
        let made = match &self.pair {
            Pair::P256(pair) | Pair::P384(pair) => {
                pair.sign(&rng, text).expect("signed").as_ref().to_vec()
            }
            Pair::Rsa(pair) => rsa(pair, &RSA_PKCS1_SHA256),
            Pair::Pss(pair) => rsa(pair, &RSA_PSS_SHA256),
        };
        STANDARD.encode(made)
    }

    /// Signs a document that is in canonical form but for its declaration.
    fn sign(&self, document: &str) -> String {
        self.sign_as(document, |info| info)
    }

    /// The same, with another `SignedInfo` under a value that is good for it.
    fn sign_as(&self, document: &str, alter: impl FnOnce(String) -> String) -> String {
        let (_, canonical) = document.split_once("?>").expect("a declaration");
        let info = alter(signed_info(&self.algorithm(), &sha256(canonical)));
        let value = self.value(info.as_bytes());
        let signature = format!(
            "<Signature xmlns=\"{DSIG}\">{info}<SignatureValue>{value}</SignatureValue>\
             </Signature>"
        );
        before_end(document, &signature)
    }
}

fn sha256(text: &str) -> String {
    STANDARD.encode(digest(&SHA256, text.as_bytes()))
}

/// `SignedInfo` in canonical form.
fn signed_info(algorithm: &str, digest: &str) -> String {
    format!(
        "<SignedInfo xmlns=\"{DSIG}\"><CanonicalizationMethod \
         Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></CanonicalizationMethod>\
         <SignatureMethod Algorithm=\"{algorithm}\"></SignatureMethod><Reference URI=\"\">\
         <Transforms><Transform Algorithm=\"{DSIG}enveloped-signature\"></Transform>\
         <Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></Transform>\
         </Transforms><DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\">\
         </DigestMethod><DigestValue>{digest}</DigestValue></Reference></SignedInfo>"
    )
}

/// Puts something before the root's end.
fn before_end(document: &str, what: &str) -> String {
    let (all, end) = document.rsplit_once("</alert>").expect("an alert");
    format!("{all}{what}</alert>{end}")
}

fn with_key_info(signed: &str, der: &[u8]) -> String {
    let packed = STANDARD.encode(der);
    let info = format!(
        "<KeyInfo><X509Data><X509Certificate>{packed}</X509Certificate></X509Data></KeyInfo>"
    );
    replaced(signed, "</Signature>", &format!("{info}</Signature>"))
}

/// A text with something in place of something that must be there.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "`{from}` is not in {text}");
    text.replacen(from, to, 1)
}

/// Base64 with one bit of the first byte turned.
fn flipped(packed: &str) -> String {
    let mut bytes = STANDARD.decode(packed.replace(char::is_whitespace, "")).expect("base64");
    bytes[0] ^= 1;
    STANDARD.encode(bytes)
}

/// Changes what is known of the test's agency.
async fn change(test: &TestNode, change: impl FnOnce(&mut Agency)) {
    let agencies = &test.node.parts.agencies;
    let id = "test".parse().expect("an id");
    let mut agency = agencies.get(&id).await.expect("a store").expect("it is known");
    change(&mut agency);
    agencies.put(agency).await.expect("stored");
}

/// Registers certificates with the test's agency, by name.
async fn register<const N: usize>(test: &TestNode, keys: [(&str, &Key); N]) {
    let named = keys.map(|(name, key)| (name.to_owned(), key.certificate()));
    let certificates = BTreeMap::from(named);
    change(test, |agency| agency.cap_signing.certificates = certificates).await;
}

fn alert(identifier: &str) -> String {
    AlertXml::hot(identifier, CENTRE).render()
}

async fn post(test: &TestNode, xml: &str) -> Answer {
    let body = Some(("application/cap+xml", xml.to_owned().into()));
    test.ask(Method::POST, "/v1/alerts", body).await
}

/// Status, code and the first rule of a refusal.
fn refusal(answer: &Answer) -> (u16, String, String) {
    let body = answer.json();
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), word(&body["code"]), word(&body["errors"][0]["rule"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_by_any_kind_of_registered_key_is_verified_and_recorded() {
    let test = TestNode::start().await;
    let keys = [Key::p256(), Key::p384(), Key::rsa(false), Key::rsa(true)];
    let names = ["p256", "p384", "rsa", "pss"];
    let [a, b, c, d] = &keys;
    register(&test, [("p256", a), ("p384", b), ("rsa", c), ("pss", d)]).await;
    for (key, name) in keys.iter().zip(names) {
        let signed = key.sign(&alert(&format!("signed-{name}")));
        // A certificate that comes along chooses; without one every registered key is tried.
        for document in [with_key_info(&signed, &key.der), signed.clone()] {
            let answer = post(&test, &document).await;
            if document == signed {
                // Other bytes, but the same alert: its signature element differs.
                assert_eq!(refusal(&answer).1, "conflict", "{}", answer.text());
                continue;
            }
            assert_eq!(answer.status, 202, "{name}: {}", answer.text());
            let rules = answer.json()["warnings"].to_string();
            assert!(!rules.contains("signature_not_verified"), "{rules}");
            let id = answer.json()["id"].as_str().expect("an id").to_owned();
            let read = test.ask(Method::GET, &format!("/v1/console/publications/{id}"), None).await;
            let by = &read.json()["publication"]["signed_by"];
            assert_eq!(by["certificate"], *name, "{}", read.text());
            assert_eq!(by["fingerprint"], key.certificate().fingerprint);
            let filter = Filter { limit: 100, ..Filter::default() };
            let audit = test.node.parts.trail.audit().list(filter).await.expect("a store");
            let noted = format!("{id} {name} {}", key.certificate().fingerprint);
            let verified =
                |link: &Link| link.entry.act == Act::VerifySignature && link.entry.object == noted;
            assert!(audit.iter().any(verified), "{audit:?}");
        }
        let alone = key.sign(&alert(&format!("alone-{name}")));
        assert_eq!(post(&test, &alone).await.status, 202, "{name}");
    }
    test.stop().await;
}

#[test]
fn a_certificate_is_registered_only_if_it_can_verify_what_agencies_sign() {
    let now = Timestamp::now();
    let read = |pem: &str| certificate::read_pem(pem, now);
    let key = Key::p384();
    let good = read(&key.pem).expect("it fits");
    assert_eq!((good.kind, good.bits), (KeyKind::P384, 384));
    assert_eq!(good.subject, "CN=PC07 duty desk");
    assert_eq!(good.fingerprint, certificate::fingerprint(&key.der));
    assert_eq!(read(&Key::rsa(false).pem).map(|one| one.bits), Ok(2_048));
    let pair = KeyPair::generate().expect("a pair");
    let over = self_signed(&pair, |params| params.not_after = date_time_ymd(2021, 1, 1)).0;
    assert!(matches!(read(&over), Err(Unfit::Expired(_))));
    let of_a_ca = |params: &mut CertificateParams| {
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    };
    assert_eq!(read(&self_signed(&pair, of_a_ca).0), Err(Unfit::Usage));
    let edwards = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a pair");
    assert_eq!(read(&self_signed(&edwards, |_| {}).0), Err(Unfit::Key));
    assert_eq!(read(SHORT_RSA), Err(Unfit::Key));
    assert_eq!(read(&format!("{}{}", key.pem, key.pem)), Err(Unfit::NotOne));
    assert_eq!(read(&pair.serialize_pem()), Err(Unfit::NotOne), "a private key");
    assert_eq!(read("no certificate"), Err(Unfit::NotOne));
    assert_eq!(read(&key.pem.replacen("MII", "AII", 1)), Err(Unfit::Unreadable));
    assert_eq!(read(&format!("{}{}", key.pem, " ".repeat(20_000))), Err(Unfit::Long));
}

/// A certificate with an RSA key of 1,024 bits, valid until 2126.
const SHORT_RSA: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIB/jCCAWegAwIBAgIUK+NMEYxluIvqfBuOurCcoNvZSa8wDQYJKoZIhvcNAQEL\n\
BQAwEDEOMAwGA1UEAwwFc2hvcnQwIBcNMjYxMTI5MTM0ODQ5WhgPMjEyNjExMDUx\n\
MzQ4NDlaMBAxDjAMBgNVBAMMBXNob3J0MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCB\n\
iQKBgQDWXBara64n6+/BB3J0p0CtsIYipd7ffZx1cpyl7gJCMNOS8FN8urUnTerr\n\
4+VBTT6tHEbljQT1ebCzBF7ry09CeadDLyHVuVAXLlpMi9ySjTpybxAdVn0tv8vD\n\
dHgGqyC2+CjMwaSPdXJbDZRGg8urrSYKCMR4LCjcUMY8cz4klwIDAQABo1MwUTAd\n\
BgNVHQ4EFgQUepesP0TMyK4Tuqc83lwCha4n7i8wHwYDVR0jBBgwFoAUepesP0TM\n\
yK4Tuqc83lwCha4n7i8wDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQsFAAOB\n\
gQCubNLw7kjkfUqeqhAm7gYP2/lt1UlexItJ+MX9X6yWYUfYky3tBuIIxm500o0a\n\
rKQM6iHl9GD+SHQ6njWocbIExxVBFzvs10aSrL8RU0zXce1BcrS39ns6A1umjAzF\n\
+kHNdQKD0z+nt6nf6IixQ96ghm4VvX3PShL8pzaiqWKBlA==\n\
-----END CERTIFICATE-----\n\
";
