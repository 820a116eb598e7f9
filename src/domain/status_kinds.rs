//! The kinds of status change are data: `src/domain/status-kinds.toml`, built in, or a file in its
//! place. Ingest checks every status change against them; a push takes its words from them.
//!
//! Promise: what concerns one citizen never stands on a lock screen. The words of a push come from
//! here alone and know neither reference, state nor remark.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::domain::lint::Finding;
use crate::domain::secret_code::SUBJECT_PREFIX;
use crate::domain::status_change::{Owner, StatusChange};

const BUILT_IN: &str = include_str!("status-kinds.toml");

/// Kinds a file may hold: far more than a city has, small enough to list in an error.
pub const KINDS_MAX: usize = 64;
/// States a kind may have.
pub const STATES_MAX: usize = 64;
/// Longest code of a kind or state, in bytes.
pub const CODE_MAX: usize = 64;
/// Longest name or title, in characters: one line of a phone's list.
pub const TEXT_MAX: usize = 80;
/// Longest reference, in characters.
pub const REFERENCE_MAX: usize = 64;
/// Longest remark, in characters.
pub const REMARK_MAX: usize = 2000;
/// How far `changed_at` may lie ahead of our clock: two clocks that are not quite the same.
pub const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A short text in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// In Vietnamese.
    pub vi: String,
    /// In English.
    pub en: String,
}

/// One kind of thing that moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What people call it.
    pub name: Text,
    /// The name itself is private; a push does not mention it.
    pub discreet: bool,
    /// Its states by code.
    pub states: BTreeMap<String, State>,
}

/// One state of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// What people read.
    pub title: Text,
    /// Nothing more is expected.
    pub terminal: bool,
}

/// Every kind, by code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusKinds {
    kinds: BTreeMap<String, Kind>,
}

/// A file of kinds that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// It is not TOML of this form; the message names key and line.
    #[error("status kinds: {0}")]
    Form(String),
    /// It breaks rules; all of them are listed.
    #[error("status kinds: {}", .0.join("; "))]
    Rules(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: Vec<FileKind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKind {
    code: String,
    name: Text,
    #[serde(default)]
    discreet: bool,
    states: Vec<FileState>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileState {
    code: String,
    vi: String,
    en: String,
    #[serde(default)]
    terminal: bool,
}

impl Default for StatusKinds {
    /// The built-in kinds.
    fn default() -> Self {
        Self::parse(BUILT_IN).expect("the built-in kinds are held by a test")
    }
}

impl StatusKinds {
    /// Reads kinds from TOML.
    pub fn parse(toml: &str) -> Result<Self, Error> {
        let file: File =
            toml::from_str(toml).map_err(|error| Error::Form(error.to_string().trim().into()))?;
        let broken = broken_rules(&file);
        if !broken.is_empty() {
            return Err(Error::Rules(broken));
        }
        let kinds = file.kind.into_iter().map(|kind| {
            let states = kind.states.into_iter().map(|state| {
                let title = Text { vi: state.vi, en: state.en };
                (state.code, State { title, terminal: state.terminal })
            });
            let states = states.collect();
            (kind.code, Kind { name: kind.name, discreet: kind.discreet, states })
        });
        Ok(Self { kinds: kinds.collect() })
    }

    /// A kind by its code.
    pub fn get(&self, code: &str) -> Option<&Kind> {
        self.kinds.get(code)
    }

    /// Every kind with its code.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Kind)> {
        self.kinds.iter().map(|(code, kind)| (code.as_str(), kind))
    }

    /// Every rule a status change breaks; empty means that it may be published.
    pub fn check(&self, change: &StatusChange, now: Timestamp) -> Vec<Finding> {
        let mut found = Vec::new();
        match self.get(&change.kind) {
            None => found.push(unknown("kind", &change.kind, self.kinds.keys())),
            Some(kind) if !kind.states.contains_key(&change.state) => {
                found.push(unknown("state", &change.state, kind.states.keys()));
            }
            Some(_) => {}
        }
        let mut length = |field: &str, text: &str, max: usize| {
            let count = text.chars().count();
            if count > max {
                let message = format!("{count} characters, at most {max} are allowed");
                found.push(Finding::error(field, "max_length", message));
            }
            if text.chars().any(|c| c.is_control() && !(c == '\n' && field == "remark")) {
                let message = "control characters are not allowed";
                found.push(Finding::error(field, "no_control_characters", message));
            }
        };
        length("reference", &change.reference, REFERENCE_MAX);
        length("remark", change.remark.as_deref().unwrap_or_default(), REMARK_MAX);
        if change.reference.trim().is_empty() {
            found.push(Finding::error("reference", "not_empty", "must not be empty"));
        }
        if matches!(&change.owner, Owner::Citizen(one) if one.as_str().starts_with(SUBJECT_PREFIX))
        {
            let message = format!("`{SUBJECT_PREFIX}` begins no citizen's pseudonym");
            found.push(Finding::error("subject", "not_reserved", message));
        }
        if change.changed_at > now.saturating_add(CLOCK_SKEW).unwrap_or(Timestamp::MAX) {
            let message = format!("{} lies in the future", change.changed_at);
            found.push(Finding::error("changed_at", "not_in_future", message));
        }
        found
    }

    /// Title and body of a push about a change of this kind: that something moved, and of which
    /// kind if its name is not private; what moved is read in the app. A kind that is no longer in
    /// the data gets the words of a discreet one.
    pub fn push_text(&self, kind: &str, vietnamese: bool) -> (String, String) {
        let (title, open) = if vietnamese {
            ("Hồ sơ của bạn có cập nhật", "Mở ứng dụng để xem chi tiết.")
        } else {
            ("Your case has an update", "Open the app for details.")
        };
        let body = match self.get(kind).filter(|kind| !kind.discreet) {
            Some(kind) => {
                let name = if vietnamese { &kind.name.vi } else { &kind.name.en };
                format!("{name}. {open}")
            }
            None => open.to_owned(),
        };
        (title.to_owned(), body)
    }
}

fn unknown<'a>(field: &str, given: &str, allowed: impl Iterator<Item = &'a String>) -> Finding {
    let given: String = given.chars().take(CODE_MAX).collect();
    let allowed = allowed.map(String::as_str).collect::<Vec<_>>().join(", ");
    Finding::error(field, "known", format!("`{given}` is not one of {allowed}"))
}

fn broken_rules(file: &File) -> Vec<String> {
    let mut broken = Vec::new();
    if file.kind.is_empty() || file.kind.len() > KINDS_MAX {
        broken.push(format!("1 to {KINDS_MAX} kinds, not {}", file.kind.len()));
    }
    let mut kinds = BTreeSet::new();
    for kind in &file.kind {
        let at = format!("kind `{}`", kind.code);
        check_code(&at, &kind.code, &mut kinds, &mut broken);
        check_text(&at, &[&kind.name.vi, &kind.name.en], &mut broken);
        if kind.states.is_empty() || kind.states.len() > STATES_MAX {
            broken.push(format!("{at}: 1 to {STATES_MAX} states, not {}", kind.states.len()));
        }
        let mut states = BTreeSet::new();
        for state in &kind.states {
            let at = format!("{at} state `{}`", state.code);
            check_code(&at, &state.code, &mut states, &mut broken);
            check_text(&at, &[&state.vi, &state.en], &mut broken);
        }
    }
    broken
}

fn check_code<'a>(at: &str, code: &'a str, seen: &mut BTreeSet<&'a str>, broken: &mut Vec<String>) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if code.is_empty() || code.len() > CODE_MAX || !code.chars().all(fits) {
        broken.push(format!("{at}: a code is 1 to {CODE_MAX} characters of a-z, 0-9 and `-`"));
    }
    if !seen.insert(code) {
        broken.push(format!("{at}: the code is there twice"));
    }
}

fn check_text(at: &str, texts: &[&String], broken: &mut Vec<String>) {
    let fits = |text: &&String| !text.trim().is_empty() && text.chars().count() <= TEXT_MAX;
    if !texts.iter().all(fits) {
        broken.push(format!("{at}: a text is 1 to {TEXT_MAX} characters, in vi and en"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change() -> StatusChange {
        StatusChange {
            kind: "report-1022".into(),
            reference: "1022-2026-0918871".into(),
            state: "resolved".into(),
            owner: Owner::Citizen("c1".parse().expect("a subject")),
            changed_at: Timestamp::UNIX_EPOCH,
            step: 6,
            remark: Some("Đã thông cống\nrút nước".into()),
        }
    }

    #[test]
    fn the_built_in_kinds_are_six_departments_and_the_link_test_each_with_an_end() {
        let kinds = StatusKinds::parse(BUILT_IN).expect("the built-in kinds");
        let codes: Vec<_> = kinds.iter().map(|(code, _)| code).collect();
        let want = [
            "court-case",
            "dossier",
            "health-record",
            "link-test",
            "report-1022",
            "school-record",
            "social-insurance",
        ];
        assert_eq!(codes, want);
        for (code, kind) in kinds.iter() {
            assert!(kind.states.values().any(|state| state.terminal), "{code}");
            let begins = kind.states.values().any(|state| !state.terminal);
            assert!(begins || code == "link-test", "{code}");
        }
    }

    #[test]
    fn every_broken_rule_names_its_field_and_what_is_allowed() {
        let kinds = StatusKinds::default();
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(kinds.check(&change(), now), []);
        type Spoil = fn(&mut StatusChange);
        let cases: [(Spoil, &str, &str); 7] = [
            (|c| c.kind = "tax".into(), "kind", "known"),
            (|c| c.state = "eaten".into(), "state", "known"),
            (|c| c.reference = "1".repeat(65), "reference", "max_length"),
            (|c| c.reference = " ".into(), "reference", "not_empty"),
            (|c| c.reference = "a\nb".into(), "reference", "no_control_characters"),
            (|c| c.remark = Some("ạ".repeat(2001)), "remark", "max_length"),
            (|c| c.changed_at += SignedDuration::from_mins(6), "changed_at", "not_in_future"),
        ];
        for (spoil, field, rule) in cases {
            let mut bad = change();
            spoil(&mut bad);
            let found = kinds.check(&bad, now);
            let named: Vec<_> = found.iter().map(|f| (f.path.as_str(), f.rule)).collect();
            assert_eq!(named, [(field, rule)], "{found:?}");
        }
        let unknown = &kinds.check(&StatusChange { state: "x".into(), ..change() }, now)[0];
        assert!(unknown.message.contains("assigned, in-progress"), "{}", unknown.message);
    }

    #[test]
    fn a_push_never_says_what_moved_nor_names_a_private_kind() {
        let kinds = StatusKinds::default();
        for (code, kind) in kinds.iter() {
            for vietnamese in [true, false] {
                let (title, body) = kinds.push_text(code, vietnamese);
                let name = if vietnamese { &kind.name.vi } else { &kind.name.en };
                assert_eq!(body.contains(name.as_str()), !kind.discreet, "{code}: {body}");
                for state in kind.states.values() {
                    assert!(!body.contains(&state.title.vi) && !title.contains(&state.title.en));
                }
            }
        }
        assert_eq!(kinds.push_text("gone", false).1, "Open the app for details.");
    }

    #[test]
    fn a_new_department_plugs_in_with_a_file_and_a_broken_file_is_refused_whole() {
        let good = r#"
            [[kind]]
            code = "water"
            name = { vi = "Hợp đồng nước", en = "Water contract" }
            states = [{ code = "signed", vi = "Đã ký", en = "Signed", terminal = true }]"#;
        let kinds = StatusKinds::parse(good).expect("a good file");
        assert!(kinds.get("water").is_some() && kinds.get("dossier").is_none());
        let twice = format!("{good}\n{}", good.replace("Signed", " "));
        let Err(Error::Rules(broken)) = StatusKinds::parse(&twice) else { panic!("two rules") };
        assert_eq!(broken.len(), 2, "{broken:?}");
        let typo = good.replace("terminal", "final");
        assert!(
            matches!(StatusKinds::parse(&typo), Err(Error::Form(text)) if text.contains("final"))
        );
    }
}
