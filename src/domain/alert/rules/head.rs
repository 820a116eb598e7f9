//! The rules of `alert` itself (CAP 1.2, section 3.2.1).

use std::collections::HashSet;

use super::{Report, optional_texts, text, writable};
use crate::domain::alert::{Alert, MsgType, Reference, Scope, Status};

pub(super) fn check(alert: &Alert, report: &mut Report) {
    name(&alert.identifier, "/alert/identifier", report);
    name(&alert.sender, "/alert/sender", report);
    let texts =
        [("source", &alert.source), ("restriction", &alert.restriction), ("note", &alert.note)];
    optional_texts(&texts, "/alert", report);
    for (at, code) in alert.codes.iter().enumerate() {
        text(code, &format!("/alert/code[{}]", at + 1), report);
    }
    list(&alert.addresses, "/alert/addresses", report);
    list(&alert.incidents, "/alert/incidents", report);
    scope(alert, report);
    note(alert, report);
    references(alert, report);
}

/// Identifier and sender: not empty, no spaces, commas, `<` or `&`.
fn name(value: &str, path: &str, report: &mut Report) {
    if value.is_empty() {
        report.broken(path, "name_blank", "must not be blank".to_owned());
    }
    if value.chars().any(|c| c.is_whitespace() || matches!(c, ',' | '<' | '&')) {
        let message = format!("`{value}` must not contain spaces, commas, < or &");
        report.broken(path, "name_characters", message);
    }
    writable(value, path, report);
}

/// Addresses and incidents: CAP defines no way to write a quote inside an item.
fn list(items: &[String], path: &str, report: &mut Report) {
    for item in items {
        if item.contains('"') {
            let message = format!("`{item}` must not contain a double quote");
            report.broken(path, "list_quote", message);
        }
        text(item, path, report);
    }
}

fn scope(alert: &Alert, report: &mut Report) {
    if alert.scope == Scope::Private && alert.addresses.is_empty() {
        let message = "scope Private needs addresses".to_owned();
        report.broken("/alert/addresses", "addresses_missing", message);
    }
    let restricted = alert.scope == Scope::Restricted;
    if restricted && alert.restriction.is_none() {
        let message = "scope Restricted needs a restriction".to_owned();
        report.tolerable("/alert/restriction", "restriction_missing", message);
    }
    if !restricted && alert.restriction.is_some() {
        let message = format!("a restriction is only for scope Restricted, not {}", alert.scope);
        report.tolerable("/alert/restriction", "restriction_unexpected", message);
    }
}

fn note(alert: &Alert, report: &mut Report) {
    if alert.note.is_some() {
        return;
    }
    if alert.status == Status::Exercise {
        let message = "status Exercise should name its exercise in note".to_owned();
        report.noted("/alert/note", "note_missing", message);
    }
    if alert.msg_type == MsgType::Error {
        let message = "msgType Error should explain itself in note".to_owned();
        report.noted("/alert/note", "note_missing", message);
    }
}

fn references(alert: &Alert, report: &mut Report) {
    const PATH: &str = "/alert/references";
    if alert.msg_type != MsgType::Alert && alert.references.is_empty() {
        let message = format!("msgType {} needs references", alert.msg_type);
        report.broken(PATH, "references_missing", message);
    }
    let mut seen = HashSet::new();
    for reference in &alert.references {
        name(&reference.sender, PATH, report);
        name(&reference.identifier, PATH, report);
        let named = format!("{},{}", reference.sender, reference.identifier);
        if same(reference, alert) {
            report.noted(PATH, "reference_self", format!("`{named}` is this message itself"));
        } else if reference.sent.instant() > alert.sent.instant() {
            report.noted(PATH, "reference_later", format!("`{named}` was sent after this message"));
        }
        if !seen.insert((&reference.sender, &reference.identifier, reference.sent.instant())) {
            report.noted(PATH, "reference_repeated", format!("`{named}` is named twice"));
        }
    }
}

fn same(reference: &Reference, alert: &Alert) -> bool {
    reference.sender == alert.sender
        && reference.identifier == alert.identifier
        && reference.sent == alert.sent
}
