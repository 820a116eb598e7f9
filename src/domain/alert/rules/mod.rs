//! The rules of CAP 1.2 that a model can break, checked purely: every broken rule is reported, with
//! the place and a stable code, never only the first.
//!
//! What the types already hold (closed vocabularies, real times, points in range, closed rings) is
//! not checked again here. What only XML can break (order, namespaces) is in
//! [`crate::event::cap`]; what Loa asks beyond the standard is in [`super::profile`].

mod head;
mod info;
mod report;

pub use report::{MAX_REPORTED, Mode, Report, Severity, Violation};

use super::Alert;

/// Every rule of CAP 1.2 the alert breaks, and what should be noted about it as warnings.
pub fn check(alert: &Alert, mode: Mode) -> Vec<Violation> {
    let mut report = Report::new(mode);
    check_into(alert, &mut report);
    report.into_violations()
}

/// As [`check`], into a report that others write to as well.
pub fn check_into(alert: &Alert, report: &mut Report) {
    head::check(alert, report);
    let mut good = info::Good::default();
    for (at, info) in alert.infos.iter().enumerate() {
        info::check(info, &format!("/alert/info[{}]", at + 1), &mut good, report);
    }
}

/// Whether XML 1.0 can carry a character at all (XML 1.0, production 2).
pub fn is_xml_char(character: char) -> bool {
    matches!(character,
        '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// A text that is present: not blank, and writable as XML.
fn text(value: &str, path: &str, report: &mut Report) {
    if value.trim().is_empty() {
        report.tolerable(path, "text_blank", "must not be blank".to_owned());
    }
    writable(value, path, report);
}

/// A text that may be blank, such as a parameter's value.
fn writable(value: &str, path: &str, report: &mut Report) {
    if let Some(character) = value.chars().find(|&character| !is_xml_char(character)) {
        let message = format!("holds U+{:04X}, which XML cannot carry", u32::from(character));
        report.broken(path, "text_character", message);
    }
}

/// Texts that may be absent, each with its element's name.
fn optional_texts(texts: &[(&str, &Option<String>)], parent: &str, report: &mut Report) {
    for (name, value) in texts {
        if let Some(value) = value {
            text(value, &format!("{parent}/{name}"), report);
        }
    }
}

#[cfg(test)]
mod tests;
