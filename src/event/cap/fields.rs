//! Whether elements stand where the schema wants them, and how to reach them by name.

use super::schema::{self, Slot};
use super::tree::{Element, XINCLUDE, XMLDSIG, is_blank};
use super::version::Version;
use crate::domain::alert::rules::Report;

/// Checks an element and all in it: names, order, number, attributes, stray text.
pub(super) fn check(element: &Element, version: Version, report: &mut Report) {
    for name in &element.attributes {
        let message = format!("attribute `{name}` is unknown to CAP");
        report.tolerable(&element.path, "attribute_unknown", message);
    }
    let Some(slots) = schema::sequence(&element.name, version) else {
        return check_leaf(element, report);
    };
    if !element.text.trim_matches(is_blank).is_empty() {
        let start: String = element.text.trim().chars().take(40).collect();
        let message = format!("text `{start}` stands between the elements");
        report.tolerable(&element.path, "text_stray", message);
    }
    let mut counts = vec![0usize; slots.len()];
    let mut furthest = 0;
    for child in &element.children {
        let Some(at) = slot_of(child, element, slots, version, report) else { continue };
        if at < furthest {
            let message = format!("`{}` must stand earlier in `{}`", child.name, element.name);
            report.tolerable(&child.path, "element_order", message);
        }
        furthest = furthest.max(at);
        if let (Some(count), Some(slot)) = (counts.get_mut(at), slots.get(at)) {
            *count += 1;
            if *count > 1 && !slot.many {
                let message = format!("only one `{}` may stand here", slot.name);
                if slot.joined {
                    report.tolerable(&child.path, "element_repeated", message);
                } else {
                    report.broken(&child.path, "element_repeated", message);
                }
            }
            check(child, version, report);
        }
    }
    for (slot, _) in slots.iter().zip(counts).filter(|&(_, count)| count == 0) {
        missing(element, slot, version, report);
    }
}

/// A child's place in the sequence; signatures come after everything else of an alert.
fn slot_of(
    child: &Element,
    parent: &Element,
    slots: &[Slot],
    version: Version,
    report: &mut Report,
) -> Option<usize> {
    if child.namespace == parent.namespace {
        let known = |slot: &Slot| slot.name == child.name && version <= slot.until;
        let at = slots.iter().position(known);
        if at.is_none() {
            let message = format!("CAP {version} knows no `{}` in `{}`", child.name, parent.name);
            report.tolerable(&child.path, "element_unknown", message);
        }
        return at;
    }
    match child.namespace.as_deref() {
        Some(XMLDSIG) if child.signature.is_some() => {
            if version < Version::V1_2 {
                let message = format!("CAP {version} has no place for a signature");
                report.tolerable(&child.path, "signature_version", message);
            }
            return Some(slots.len());
        }
        Some(XINCLUDE) => xinclude(child, report),
        other => {
            let namespace = other.unwrap_or("no namespace");
            let message = format!("`{}` of {namespace} is foreign to CAP", child.name);
            report.tolerable(&child.path, "element_foreign", message);
        }
    }
    None
}

fn check_leaf(element: &Element, report: &mut Report) {
    for child in &element.children {
        if child.namespace.as_deref() == Some(XINCLUDE) {
            xinclude(child, report);
        } else {
            let message = format!("`{}` holds text, not elements", element.name);
            report.broken(&child.path, "element_nested", message);
        }
    }
}

fn xinclude(element: &Element, report: &mut Report) {
    report.broken(&element.path, "xinclude", "nothing is ever included".to_owned());
}

fn missing(element: &Element, slot: &Slot, version: Version, report: &mut Report) {
    if slot.required_from.is_none_or(|from| version < from) {
        return;
    }
    let path = format!("{}/{}", element.path, slot.name);
    let message = format!("`{}` needs `{}`", element.name, slot.name);
    if slot.assumed {
        report.tolerable(&path, "element_missing", message);
    } else {
        report.broken(&path, "element_missing", message);
    }
}

impl Element {
    /// The first child of this name in the same namespace.
    pub(super) fn one(&self, name: &str) -> Option<&Self> {
        let same = |child: &&Self| child.name == name && child.namespace == self.namespace;
        self.children.iter().find(same)
    }

    /// All children of this name in the same namespace.
    pub(super) fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Self> {
        self.children
            .iter()
            .filter(move |child| child.name == name && child.namespace == self.namespace)
    }
}
