//! CAP messages with an XML signature (CAP 1.2, section 3.3.4.1; XML Signature 1.1).
//!
//! One form is taken, and whatever is not of it is refused by name: one `Signature`, a child of
//! `alert`, over the whole document (`URI=""`), with the transforms enveloped-signature and
//! exclusive canonicalisation, in that order. So there is nothing to choose for whoever moves,
//! wraps or doubles what was signed.
//!
//! What is read is what was signed: the alert is read from the very octets that were digested, and
//! so is the template from the octets of `SignedInfo`. Whether the signature's value is by a
//! registered certificate is not decided here ([`crate::auth::certificate`]).

mod canonical;
mod template;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::tree::XMLDSIG;
use super::{Limits, Mode, Violation, decode};
use crate::domain::alert::Alert;
use crate::domain::certificate::{Hash, Scheme};
use canonical::{Node, Tree};

/// The most certificates that a `KeyInfo` may hold: the signer's and a chain behind it.
const PRESENTED_MAX: usize = 8;
/// How much longer than its document a canonical form may be: `"` and `>` become references.
const GROWTH: usize = 8;

/// A message whose one signature is of the form that is taken and whose digest holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed {
    /// The alert as the digested octets say it, without its signature.
    pub alert: Alert,
    /// How the signature says that it was made.
    pub scheme: Scheme,
    /// What the signature's value is over: `SignedInfo` in canonical form.
    pub signed_info: Vec<u8>,
    /// The signature's value, still to be verified.
    pub value: Vec<u8>,
    /// Certificates (DER) that came with it. They choose among registered ones and prove nothing.
    pub presented: Vec<Vec<u8>>,
}

/// Reads a signed message, or names what is not of the form that is taken.
///
/// The document must have been read by [`super::read`] before: what that refuses never comes here.
pub fn read_signed(bytes: &[u8], limits: &Limits) -> Result<Signed, Vec<Violation>> {
    let opened = decode::decode(bytes, limits).and_then(|text| open(&text, limits));
    let (parts, content) = opened.map_err(|violation| vec![violation])?;
    let canonical = Limits { bytes: limits.bytes.saturating_mul(GROWTH), ..limits.clone() };
    let read = super::read(&content, Mode::Strict, &canonical)?;
    let Parts { scheme, signed_info, value, presented } = parts;
    Ok(Signed { alert: read.alert, scheme, signed_info, value, presented })
}

/// What a signature says.
struct Parts {
    scheme: Scheme,
    signed_info: Vec<u8>,
    value: Vec<u8>,
    presented: Vec<Vec<u8>>,
}

/// The signature's parts, and the octets that were digested.
fn open(text: &str, limits: &Limits) -> Result<(Parts, Vec<u8>), Violation> {
    let tree = Tree::parse(text, limits.depth)?;
    let root = tree.root()?;
    let signature = only_signature(root)?;
    let (info, value, key_info) = template::parts(signature)?;
    let signed_info = tree.canonical_of(info)?;
    let content = tree.canonical_without(signature)?;
    let octets = String::from_utf8(signed_info).map_err(|_| refused("signature_form", BROKEN))?;
    let wanted = template::read(&octets)?;
    if digest(wanted.digest_by, &content) != wanted.digest {
        let message = "the document is not the one that was signed: its digest differs";
        return Err(refused("signature_digest", message));
    }
    let parts = Parts {
        scheme: wanted.scheme,
        signed_info: octets.into_bytes(),
        value: decoded(&value.text(), "signature_form")?,
        presented: presented(key_info)?,
    };
    Ok((parts, content))
}

const BROKEN: &str = "the signature cannot be read";

/// The one signature: a child of the root, and no other anywhere.
fn only_signature(root: Node<'_>) -> Result<Node<'_>, Violation> {
    let mut all = Vec::new();
    root.find(&mut |node| node.is(XMLDSIG, "Signature"), &mut all);
    let [one] = all.as_slice() else {
        let message = format!("must have one signature, not {}", all.len());
        return Err(refused("signature_one", &message));
    };
    let signature = root.elements().into_iter().find(|child| child == one);
    let stray = |child: &Node<'_>| child.is_of(XMLDSIG) && child != one;
    match signature {
        Some(_) if root.elements().iter().any(stray) => {
            let message = "parts of a signature stand outside of it";
            Err(refused("signature_form", message))
        }
        Some(signature) => Ok(signature),
        None => {
            let message = "the signature must be a child of the alert itself";
            Err(refused("signature_place", message))
        }
    }
}

fn presented(key_info: Option<Node<'_>>) -> Result<Vec<Vec<u8>>, Violation> {
    let mut found = Vec::new();
    if let Some(key_info) = key_info {
        key_info.find(&mut |node| node.is(XMLDSIG, "X509Certificate"), &mut found);
    }
    if found.len() > PRESENTED_MAX {
        let message = format!("more than {PRESENTED_MAX} certificates");
        return Err(refused("signature_key_info", &message));
    }
    found.iter().map(|node| decoded(&node.text(), "signature_key_info")).collect()
}

fn digest(by: Hash, octets: &[u8]) -> Vec<u8> {
    match by {
        Hash::Sha256 => Sha256::digest(octets).to_vec(),
        Hash::Sha384 => Sha384::digest(octets).to_vec(),
        Hash::Sha512 => Sha512::digest(octets).to_vec(),
    }
}

/// Base64 as XML writes it, with blanks anywhere.
fn decoded(text: &str, rule: &'static str) -> Result<Vec<u8>, Violation> {
    let packed: String = text.chars().filter(|&c| !super::tree::is_blank(c)).collect();
    STANDARD.decode(packed).map_err(|_| refused(rule, "is not base64"))
}

fn refused(rule: &'static str, message: &str) -> Violation {
    Violation::error("/alert/Signature", rule, message.to_owned())
}
