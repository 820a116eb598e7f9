//! What a refusal must say, shared by the targets.

use loa::event::cap::{Mode, Severity, Violation};
use loa::http::problem::Problem;

/// Violations in one answer, with the line that says how many were left out.
const VIOLATIONS_MAX: usize = 201;
/// Characters of one message: it quotes what strangers wrote.
const MESSAGE_MAX: usize = 400;

/// The violations that refuse a document: at least one is an error, each names its rule and can be
/// shown.
pub fn violations(found: &[Violation], mode: Mode) {
    let refuses = found.iter().any(|one| one.severity == Severity::Error);
    assert!(refuses, "refused ({mode:?}) without an error: {found:?}");
    shown(found);
}

/// Violations that refuse nothing.
pub fn warnings(found: &[Violation]) {
    let refuses = found.iter().any(|one| one.severity == Severity::Error);
    assert!(!refuses, "accepted with an error: {found:?}");
    shown(found);
}

fn shown(found: &[Violation]) {
    assert!(found.len() <= VIOLATIONS_MAX, "{} violations", found.len());
    for Violation { path, rule, message, .. } in found {
        assert!(path.is_empty() || path.starts_with('/'), "no path: `{path}`");
        assert!(!rule.is_empty() && !message.is_empty(), "{path}: nothing is said");
        let count = message.chars().count();
        assert!(count <= MESSAGE_MAX, "{path}: a message of {count} characters");
        assert!(!message.chars().any(char::is_control), "{path}: `{message}`");
    }
}

/// A problem that says which field is wrong and why.
pub fn problem(problem: &Problem) {
    assert!(problem.code.status().is_client_error(), "{problem:?}");
    assert!(!problem.errors.is_empty(), "no field is named: {problem:?}");
    for error in &problem.errors {
        let named = !error.path.is_empty() && !error.rule.is_empty() && !error.message.is_empty();
        assert!(named, "nothing is said: {error:?}");
    }
}
