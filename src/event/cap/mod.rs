//! CAP XML to and from the model, and the model's JSON form: what agencies and feeds send us.
//!
//! ```text
//! bytes ─ decode → text ─ tree → elements ─ build → Alert ─ rules → Read
//! ```
//!
//! Promises: no input makes it panic or cost more than its [`Limits`]; nothing is fetched and no
//! entity expanded; every broken rule is named with its place; an alert that was read strictly is
//! the same alert after [`write()`] and [`read`].

mod build;
mod coordinates;
mod decode;
mod fields;
mod json;
mod limits;
mod lists;
mod schema;
mod shape;
mod signature;
mod signed;
mod tree;
mod values;
mod version;
mod write;

pub use crate::domain::alert::rules::{Mode, Severity, Violation};
pub use json::read_json;
pub use limits::Limits;
pub use signed::{Signed, read_signed};
pub use version::Version;
pub use write::write;

use crate::domain::alert::Alert;
use crate::domain::alert::rules::Report;

/// What reading a CAP document gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// The alert, in the terms of CAP 1.2.
    pub alert: Alert,
    /// The version it was written in.
    pub version: Version,
    /// What was forgiven, assumed or should be known; all of them warnings.
    pub liberties: Vec<Violation>,
}

/// Reads one CAP 1.0, 1.1 or 1.2 document, or names everything that is wrong with it (then at
/// least one of the violations is an error).
pub fn read(bytes: &[u8], mode: Mode, limits: &Limits) -> Result<Read, Vec<Violation>> {
    let mut report = Report::new(mode);
    match read_into(bytes, limits, &mut report) {
        Some((alert, version)) if !report.refuses() => {
            Ok(Read { alert, version, liberties: report.into_violations() })
        }
        _ => Err(report.into_violations()),
    }
}

/// Whatever stops the reading short has been reported as an error.
fn read_into(bytes: &[u8], limits: &Limits, report: &mut Report) -> Option<(Alert, Version)> {
    let stopped = |violation, report: &mut Report| {
        report.add(violation);
        None
    };
    let text = match decode::decode(bytes, limits) {
        Ok(text) => text,
        Err(violation) => return stopped(violation, report),
    };
    let (root, version) = match tree::parse(&text, limits) {
        Ok(parsed) => parsed,
        Err(violation) => return stopped(*violation, report),
    };
    if let Err(violation) = limits.check_tree(&root) {
        return stopped(violation, report);
    }
    let built = build::build(&root, version, report);
    built.check(report);
    built.into_alert().map(|alert| (alert, version))
}

#[cfg(test)]
mod tests;
