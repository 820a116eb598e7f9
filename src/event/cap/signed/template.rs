//! The one form of `Signature` that is taken, element by element.

use super::super::tree::XMLDSIG;
use super::canonical::{Node, Tree};
use super::{Violation, decoded, refused};
use crate::domain::certificate::{Hash, Scheme};

/// Exclusive canonicalisation without comments.
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
/// The transform that leaves the signature itself out.
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// Elements inside each other below `SignedInfo`, and some to spare.
const DEPTH: usize = 8;

/// XML Signature 1.1, section 6.4, and RFC 9231, sections 2.3.2 to 2.3.10.
const SCHEMES: [(&str, Scheme); 9] = [
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", Scheme::RsaPkcs1(Hash::Sha256)),
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", Scheme::RsaPkcs1(Hash::Sha384)),
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", Scheme::RsaPkcs1(Hash::Sha512)),
    ("http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1", Scheme::RsaPss(Hash::Sha256)),
    ("http://www.w3.org/2007/05/xmldsig-more#sha384-rsa-MGF1", Scheme::RsaPss(Hash::Sha384)),
    ("http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1", Scheme::RsaPss(Hash::Sha512)),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", Scheme::Ecdsa(Hash::Sha256)),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384", Scheme::Ecdsa(Hash::Sha384)),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512", Scheme::Ecdsa(Hash::Sha512)),
];

/// XML Signature 1.1, section 6.2, and RFC 9231, section 2.1.3.
const DIGESTS: [(&str, Hash); 3] = [
    ("http://www.w3.org/2001/04/xmlenc#sha256", Hash::Sha256),
    ("http://www.w3.org/2001/04/xmldsig-more#sha384", Hash::Sha384),
    ("http://www.w3.org/2001/04/xmlenc#sha512", Hash::Sha512),
];

/// What `SignedInfo` says.
pub(super) struct Wanted {
    pub scheme: Scheme,
    pub digest_by: Hash,
    pub digest: Vec<u8>,
}

/// `SignedInfo`, `SignatureValue` and, where there is one, `KeyInfo`.
pub(super) fn parts<'d>(
    signature: Node<'d>,
) -> Result<(Node<'d>, Node<'d>, Option<Node<'d>>), Violation> {
    let children = signature.elements();
    let named =
        |at: usize, name: &str| children.get(at).copied().filter(|child| child.is(XMLDSIG, name));
    let (info, value) = (named(0, "SignedInfo"), named(1, "SignatureValue"));
    let key_info = named(2, "KeyInfo");
    let (Some(info), Some(value)) = (info, value) else {
        return Err(refused("signature_form", "must begin with SignedInfo and SignatureValue"));
    };
    if children.len() > 2 + usize::from(key_info.is_some()) {
        let message = "holds more than SignedInfo, SignatureValue and KeyInfo";
        return Err(refused("signature_object", message));
    }
    if value.has_elements() {
        return Err(refused("signature_form", "SignatureValue must be text alone"));
    }
    Ok((info, value, key_info))
}

/// Reads `SignedInfo` from its canonical form.
pub(super) fn read(octets: &str) -> Result<Wanted, Violation> {
    let tree = Tree::parse(octets, DEPTH)?;
    let info = tree.root()?;
    plain(info, "SignedInfo", &[])?;
    let children = info.elements();
    let [canonicalisation, method, reference] = children.as_slice() else {
        let message = "SignedInfo must hold CanonicalizationMethod, SignatureMethod and one \
            Reference";
        return Err(refused("signature_reference", message));
    };
    plain(*canonicalisation, "CanonicalizationMethod", &["Algorithm"])?;
    exclusive(*canonicalisation)?;
    plain(*method, "SignatureMethod", &["Algorithm"])?;
    let scheme = known(*method, &SCHEMES, "signature_algorithm")?;
    if method.has_elements() {
        return Err(refused("signature_algorithm", "SignatureMethod takes no parameters"));
    }
    let (digest_by, digest) = read_reference(*reference)?;
    Ok(Wanted { scheme, digest_by, digest })
}

fn read_reference(reference: Node<'_>) -> Result<(Hash, Vec<u8>), Violation> {
    plain(reference, "Reference", &["URI"])?;
    match reference.attribute("URI") {
        Some("") => {}
        Some(uri) => {
            let start: String = uri.chars().take(40).collect();
            let message = format!("must sign the whole document (URI=\"\"), not `{start}`");
            return Err(refused("signature_reference", &message));
        }
        None => {
            let message = "must sign the whole document (URI=\"\"), and say so";
            return Err(refused("signature_reference", message));
        }
    }
    let children = reference.elements();
    let [transforms, method, value] = children.as_slice() else {
        let message = "Reference must hold Transforms, DigestMethod and DigestValue";
        return Err(refused("signature_transforms", message));
    };
    plain(*transforms, "Transforms", &[])?;
    let steps = transforms.elements();
    let two = "the transforms must be enveloped-signature and then exclusive canonicalisation";
    let [enveloped, canonical] = steps.as_slice() else {
        return Err(refused("signature_transforms", two));
    };
    for step in [enveloped, canonical] {
        plain(*step, "Transform", &["Algorithm"])?;
    }
    if enveloped.attribute("Algorithm") != Some(ENVELOPED) || enveloped.has_elements() {
        return Err(refused("signature_transforms", two));
    }
    if canonical.attribute("Algorithm") != Some(EXCLUSIVE) {
        return Err(refused("signature_transforms", two));
    }
    exclusive(*canonical)?;
    plain(*method, "DigestMethod", &["Algorithm"])?;
    let hash = known(*method, &DIGESTS, "signature_digest_algorithm")?;
    plain(*value, "DigestValue", &[])?;
    if method.has_elements() || value.has_elements() {
        return Err(refused("signature_form", "DigestMethod and DigestValue hold no elements"));
    }
    Ok((hash, decoded(&value.text(), "signature_form")?))
}

/// Canonicalisation is exclusive, without comments and without a list of prefixes.
fn exclusive(method: Node<'_>) -> Result<(), Violation> {
    if method.attribute("Algorithm") != Some(EXCLUSIVE) {
        let message = format!("canonicalisation must be {EXCLUSIVE}");
        return Err(refused("signature_canonicalisation", &message));
    }
    if method.has_elements() {
        let message = "canonicalisation takes no InclusiveNamespaces";
        return Err(refused("signature_canonicalisation", message));
    }
    Ok(())
}

fn known<T: Copy>(node: Node<'_>, table: &[(&str, T)], rule: &'static str) -> Result<T, Violation> {
    let given = node.attribute("Algorithm").unwrap_or_default();
    let found = table.iter().find(|(uri, _)| *uri == given);
    found.map(|(_, one)| *one).ok_or_else(|| {
        let start: String = given.chars().take(80).collect();
        refused(rule, &format!("algorithm `{start}` is not accepted"))
    })
}

/// An element of this name, with these attributes and no others.
fn plain(node: Node<'_>, name: &str, attributes: &[&str]) -> Result<(), Violation> {
    if !node.is(XMLDSIG, name) {
        let message = format!("expected {name}, got {}", node.name());
        return Err(refused("signature_form", &message));
    }
    let strange = node.attribute_names().into_iter().find(|given| !attributes.contains(given));
    match strange {
        Some(strange) => {
            let message = format!("{name} has an attribute `{strange}`, which is not accepted");
            Err(refused("signature_form", &message))
        }
        None => Ok(()),
    }
}
