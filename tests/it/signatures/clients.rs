//! Another implementation than ours signs: xmlsec1, on libxml2 and OpenSSL.

use std::path::Path;

use rcgen::RsaKeySize;
use tokio::process::Command;

use super::*;

/// The alert as an agency's program would write it: indented, prefixed, with things that change in
/// canonical form.
fn written(identifier: &str) -> String {
    let document = alert(identifier);
    let document = replaced(&document, "<alert xmlns=", "<alert  xmlns:unused='urn:x'\n  xmlns=");
    let document = replaced(&document, "<info>", "\r\n  <!-- noted -->\n  <info>");
    replaced(&document, "Ngập sâu", "Ng&#x1EAD;p <![CDATA[sâu]]>")
}

/// What xmlsec1 signs with.
struct Outsider {
    key: String,
    certificate: String,
    /// The end of the algorithm's name, in the namespace of RFC 9231.
    algorithm: &'static str,
    digest: String,
}

impl Outsider {
    fn new(algorithm: &'static str, digest: &str, pair: &KeyPair) -> Self {
        let (key, certificate) = (pair.serialize_pem(), self_signed(pair, |_| {}).0);
        Self { key, certificate, algorithm, digest: digest.to_owned() }
    }

    async fn sign(&self, document: &str) -> String {
        let dir = tempfile::tempdir().expect("a directory");
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/sign.sh");
        let mut command = Command::new("sh");
        command.arg(script);
        command.args([file("key.pem", &self.key), file("certificate.pem", &self.certificate)]);
        command.args([&format!("{MORE}{}", self.algorithm), &self.digest]);
        command.arg(file("alert.xml", document));
        let done = command.output().await.expect("a shell");
        let said = String::from_utf8_lossy(&done.stderr);
        let hint = "xmlsec1 is needed for this test: run deploy/setup.sh test (Debian: xmlsec1)";
        assert!(done.status.success(), "{hint}\n{said}");
        String::from_utf8(done.stdout).expect("UTF-8")
    }
}

fn outsiders() -> Vec<Outsider> {
    let made = |algorithm| KeyPair::generate_for(algorithm).expect("a pair");
    let long = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072);
    let (p256, p384) = (made(&rcgen::PKCS_ECDSA_P256_SHA256), made(&rcgen::PKCS_ECDSA_P384_SHA384));
    let (sha256, sha512) = ("http://www.w3.org/2001/04/xmlenc#sha256", "sha512");
    let sha512 = format!("http://www.w3.org/2001/04/xmlenc#{sha512}");
    vec![
        Outsider::new("rsa-sha256", sha256, &made(&rcgen::PKCS_RSA_SHA256)),
        Outsider::new("rsa-sha512", &sha512, &long.expect("a pair")),
        Outsider::new("ecdsa-sha256", sha256, &p256),
        Outsider::new("ecdsa-sha384", &format!("{MORE}sha384"), &p384),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_xmlsec1_signs_is_verified_and_refused_with_anything_turned() {
    let test = TestNode::start().await;
    for outsider in outsiders() {
        let name = outsider.algorithm;
        let known = certificate::read_pem(&outsider.certificate, Timestamp::now());
        let known = known.expect("it fits");
        change(&test, |agency| {
            agency.cap_signing.certificates = [("theirs".to_owned(), known)].into();
        })
        .await;
        let document = outsider.sign(&written(name)).await;
        let inside = |element: &str| {
            let (_, rest) = document.split_once(&format!("<{element}>")).expect(element);
            rest.split_once('<').expect("an end").0.to_owned()
        };
        let (value, digest) = (inside("SignatureValue"), inside("DigestValue"));
        for (from, to, rule) in [
            ("Deep flooding", "Deep floodinG".to_owned(), "signature_digest"),
            ("<info>", "<info> ".to_owned(), "signature_digest"),
            (&digest, flipped(&digest), "signature_digest"),
            (&value, flipped(&value), "signature_value"),
        ] {
            let spoilt = post(&test, &replaced(&document, from, &to)).await;
            assert_eq!(refusal(&spoilt).2, rule, "{name}: {}", spoilt.text());
        }
        let answer = post(&test, &document).await;
        assert_eq!(answer.status, 202, "{name}: {}", answer.text());
    }
    test.stop().await;
}
