//! Broken rules and where they are collected.

use std::fmt;

use serde::Serialize;

/// The most violations one report lists; one more then says how many were left out. A hostile
/// body of 1 MiB could otherwise answer with many times its own size.
pub const MAX_REPORTED: usize = 200;

/// The longest message, in characters.
const MAX_MESSAGE: usize = 400;

/// How closely the standard is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For agencies that publish to Loa: every broken rule refuses.
    Strict,
    /// For feeds that Loa takes over: what is unambiguous is accepted and each liberty reported.
    Lenient,
}

/// Whether a violation refuses the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The message is refused.
    Error,
    /// The message is accepted; this should be known.
    Warning,
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where: an element path such as `/alert/info[2]/area[1]/polygon[1]`, or a JSON pointer.
    pub path: String,
    /// Which rule: a stable code such as `references_missing`.
    pub rule: &'static str,
    /// What is wrong, for people.
    pub message: String,
    /// Whether it refuses the message.
    pub severity: Severity,
}

impl Violation {
    /// A violation that refuses the message.
    pub fn error(path: impl Into<String>, rule: &'static str, message: String) -> Self {
        Self { path: path.into(), rule, message: printable(&message), severity: Severity::Error }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.path, self.message, self.rule)
    }
}

/// Messages quote what strangers wrote: one line, no control characters, not too long.
fn printable(message: &str) -> String {
    let clean = |character: char| if character.is_control() { ' ' } else { character };
    message.chars().take(MAX_MESSAGE).map(clean).collect()
}

/// Collects violations, and knows what the mode tolerates.
#[derive(Debug)]
pub struct Report {
    mode: Mode,
    found: Vec<Violation>,
    left_out: usize,
    refused: bool,
}

impl Report {
    /// An empty report.
    pub fn new(mode: Mode) -> Self {
        Self { mode, found: Vec::new(), left_out: 0, refused: false }
    }

    /// How closely the standard is held.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether anything refuses the message.
    pub fn refuses(&self) -> bool {
        self.refused
    }

    /// How many violations there are.
    pub fn count(&self) -> usize {
        self.found.len() + self.left_out
    }

    /// A broken rule that refuses the message in either mode.
    pub fn broken(&mut self, path: &str, rule: &'static str, message: String) {
        self.push(path, rule, message, Severity::Error);
    }

    /// A broken rule that a lenient reader forgives, because the meaning is not in doubt.
    pub fn tolerable(&mut self, path: &str, rule: &'static str, message: String) {
        let severity = match self.mode {
            Mode::Strict => Severity::Error,
            Mode::Lenient => Severity::Warning,
        };
        self.push(path, rule, message, severity);
    }

    /// Something that should be known and refuses nothing.
    pub fn noted(&mut self, path: &str, rule: &'static str, message: String) {
        self.push(path, rule, message, Severity::Warning);
    }

    /// Adds a violation found elsewhere.
    pub fn add(&mut self, violation: Violation) {
        self.refused |= violation.severity == Severity::Error;
        if self.found.len() < MAX_REPORTED {
            self.found.push(violation);
        } else {
            self.left_out += 1;
        }
    }

    /// What was found, in the order it was found.
    pub fn into_violations(mut self) -> Vec<Violation> {
        if self.left_out > 0 {
            let message = format!("{} more violations are not listed", self.left_out);
            let severity = if self.refused { Severity::Error } else { Severity::Warning };
            let rule = "violations_left_out";
            self.found.push(Violation { path: "/alert".to_owned(), rule, message, severity });
        }
        self.found
    }

    fn push(&mut self, path: &str, rule: &'static str, message: String, severity: Severity) {
        self.add(Violation { severity, ..Violation::error(path, rule, message) });
    }
}
