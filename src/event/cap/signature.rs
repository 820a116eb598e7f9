//! XML signatures, kept as they came so that they can still be verified.
//!
//! A signature is cut out of its document, so the namespaces declared around it are written onto
//! it: canonicalisation, and with it the signature's own digest, depends on them.

use std::fmt::Write;

use quick_xml::events::BytesStart;
use quick_xml::name::{NamespaceResolver, PrefixDeclaration};

use super::Violation;
use super::limits::Limits;
use super::tree::{self, XMLDSIG};
use super::version::Version;

/// The namespace declarations in scope that the start tag does not make itself, as attributes.
pub(super) fn missing_declarations(start: &BytesStart<'_>, scope: &NamespaceResolver) -> String {
    let own: Vec<_> = start
        .attributes()
        .flatten()
        .filter(|attribute| attribute.key.as_namespace_binding().is_some())
        .map(|attribute| attribute.key.0.to_owned())
        .collect();
    let mut missing = String::new();
    let mut has_default = false;
    for (prefix, namespace) in scope.bindings() {
        let name = match prefix {
            PrefixDeclaration::Default => {
                has_default = true;
                "xmlns".to_owned()
            }
            PrefixDeclaration::Named(prefix) => format!("xmlns:{prefix}"),
        };
        if !own.contains(&name) {
            // The resolver keeps the value as it was written; only its quotes may be others here.
            let value = namespace.0.replace('"', "&quot;");
            write!(missing, r#" {name}="{value}""#).expect("a string takes all");
        }
    }
    if !has_default && !own.iter().any(|name| name == "xmlns") {
        // Else the default namespace of the document it is written into would reach inside.
        missing.push_str(r#" xmlns="""#);
    }
    missing
}

/// The element's source with declarations added to its start tag.
pub(super) fn self_contained(raw: &str, declarations: &str) -> String {
    let name_end = raw
        .char_indices()
        .skip(1)
        .find(|&(_, c)| tree::is_blank(c) || matches!(c, '/' | '>'))
        .map_or(raw.len(), |(at, _)| at);
    format!("{}{declarations}{}", &raw[..name_end], &raw[name_end..])
}

/// Checks that a text is one self-contained `xmldsig#` element, so that writing it into a document
/// can change nothing else there.
pub(super) fn check(text: &str) -> Result<(), Violation> {
    let namespace = Version::V1_2.namespace();
    let document = format!(r#"<alert xmlns="{namespace}">{text}</alert>"#);
    let root = match tree::parse(&document, &Limits::feeds()) {
        Ok((root, _)) => root,
        Err(violation) => return Err(*violation),
    };
    let fits = root.text.is_empty()
        && matches!(root.children.as_slice(), [one] if one.namespace.as_deref() == Some(XMLDSIG)
            && one.signature.as_deref() == Some(text));
    if fits {
        return Ok(());
    }
    let message = "must be one XML signature element that declares its own namespaces".to_owned();
    Err(Violation::error("/alert/Signature", "signature_form", message))
}
