//! Exclusive canonicalisation (W3C, Exclusive XML Canonicalization 1.0), without comments.
//!
//! The only file that names the crates it is done with. They parse a document once more; nothing
//! depends on their reading it as we do, since what is published is read from what they wrote.

use bergshamra_c14n::{C14nMode, canonicalize_doc};
use bergshamra_xml::uppsala::Parser;
use bergshamra_xml::{Document, NodeId, NodeKind, NodeSet};

use super::{BROKEN, Violation, refused};

const NO_PREFIXES: [&str; 0] = [];

/// A document as it is canonicalised.
pub(super) struct Tree<'t> {
    document: Document<'t>,
}

impl<'t> Tree<'t> {
    pub(super) fn parse(text: &'t str, depth: usize) -> Result<Self, Violation> {
        let depth = u32::try_from(depth).unwrap_or(u32::MAX);
        let parser = Parser::new().with_max_depth(depth).with_forbid_dtd(true);
        let document = parser.parse(text).map_err(|_| refused("signature_form", BROKEN))?;
        Ok(Self { document })
    }

    pub(super) fn root(&self) -> Result<Node<'_>, Violation> {
        let id = self.document.document_element();
        let id = id.ok_or_else(|| refused("signature_form", BROKEN))?;
        Ok(Node { document: &self.document, id })
    }

    /// An element and what is in it.
    pub(super) fn canonical_of(&self, node: Node<'_>) -> Result<Vec<u8>, Violation> {
        self.canonical(&NodeSet::tree_without_comments(node.id, &self.document))
    }

    /// The whole document but an element and what is in it.
    pub(super) fn canonical_without(&self, node: Node<'_>) -> Result<Vec<u8>, Violation> {
        let all = NodeSet::all_without_comments(&self.document);
        self.canonical(&all.subtract(&NodeSet::tree_with_comments(node.id, &self.document)))
    }

    fn canonical(&self, nodes: &NodeSet) -> Result<Vec<u8>, Violation> {
        canonicalize_doc(&self.document, C14nMode::Exclusive, Some(nodes), &NO_PREFIXES)
            .map_err(|_| refused("signature_form", BROKEN))
    }
}

/// An element.
#[derive(Clone, Copy)]
pub(super) struct Node<'d> {
    document: &'d Document<'d>,
    id: NodeId,
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<'d> Node<'d> {
    pub(super) fn is(self, namespace: &str, name: &str) -> bool {
        self.document.element(self.id).is_some_and(|it| it.name.matches(Some(namespace), name))
    }

    pub(super) fn is_of(self, namespace: &str) -> bool {
        let element = self.document.element(self.id);
        element.is_some_and(|it| it.name.namespace_uri.as_deref() == Some(namespace))
    }

    pub(super) fn name(self) -> String {
        let element = self.document.element(self.id);
        element.map(|it| it.name.local_name.chars().take(40).collect()).unwrap_or_default()
    }

    pub(super) fn elements(self) -> Vec<Node<'d>> {
        let document = self.document;
        let children = document.children_iter(self.id).map(|id| Node { document, id });
        children.filter(|child| document.element(child.id).is_some()).collect()
    }

    pub(super) fn has_elements(self) -> bool {
        !self.elements().is_empty()
    }

    /// Adds every element at or below that fits. Recursion is as deep as the parser's limit.
    pub(super) fn find(self, fits: &mut impl FnMut(Node<'d>) -> bool, found: &mut Vec<Node<'d>>) {
        if fits(self) {
            found.push(self);
        }
        for child in self.elements() {
            child.find(fits, found);
        }
    }

    /// The attribute of this name in no namespace.
    pub(super) fn attribute(self, name: &str) -> Option<&'d str> {
        let element = self.document.element(self.id)?;
        let found = element.attributes.iter().find(|one| one.name.matches(None, name));
        found.map(|one| &*one.value)
    }

    /// Every attribute as it is written, without declarations of namespaces.
    pub(super) fn attribute_names(self) -> Vec<&'d str> {
        let Some(element) = self.document.element(self.id) else { return Vec::new() };
        let name = |one: &'d bergshamra_xml::Attribute<'d>| match one.name.namespace_uri {
            Some(_) => "of another namespace",
            None => &*one.name.local_name,
        };
        element.attributes.iter().map(name).collect()
    }

    /// Its own text, comments and instructions left out.
    pub(super) fn text(self) -> String {
        let mut out = String::new();
        for child in self.document.children_iter(self.id) {
            if let Some(NodeKind::Text(text) | NodeKind::CData(text)) =
                self.document.node_kind(child)
            {
                out.push_str(text);
            }
        }
        out
    }
}
