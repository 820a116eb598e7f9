//! The content linter: what a publisher should hear before the city does. Ingest answers a dry run
//! with it; `loa cap check` prints it. It judges words and bounds, not CAP's own rules, which the
//! reader in [`crate::event::cap`] holds.
//!
//! | rule | grade | source |
//! | --- | --- | --- |
//! | `language_vi`, `language_en` | error, warning | both languages; many read only one |
//! | `action`, `response_type` | error, warning, of hot alerts | 47 CFR 10.420: say the action |
//! | `expires`, `expires_past`, `too_short` | error | CAP leaves it to us; GOV.UK: 5 minutes |
//! | `too_long` | warning | phones may show it again after 24 hours |
//! | `headline`, `headline_length`, `headline_url` | warning | CAP 1.2: under 160 characters |
//! | `shouting` | warning | capitals alone are slow to read, and screen readers spell them |
//! | `payload_bytes` | warning | APNs and FCM take 4,096 bytes; the rest is cut |
//! | `nfc`, `zero_width` | warning | the same words must be the same bytes |
//! | `control_character` | error | a text must not read differently from what it is |
//! | `disaster_level` | error | QĐ 18/2021: a level and its severity agree |

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use unicode_normalization::is_nfc;

use crate::domain::alert::{Alert, Info, MsgType};
use crate::domain::lane::Lane;
use crate::domain::level::Level;
use crate::domain::summary::{self, Words};

/// Longest headline, in characters (CAP 1.2 section 3.2.2).
pub const HEADLINE_MAX: usize = 160;
/// Shortest time from now to expiry: less is over before it is read.
pub const DURATION_MIN: SignedDuration = SignedDuration::from_mins(5);
/// Longest time from now to expiry without a warning.
pub const DURATION_LONG: SignedDuration = SignedDuration::from_hours(24);
/// Largest payload of APNs and of an FCM message, in bytes.
pub const PAYLOAD_MAX: usize = 4096;
/// Bytes of a payload that are not words: ids, times, sound, thread, JSON's own signs.
pub const PAYLOAD_FRAME: usize = 768;
/// Capital letters without a small one from which a text shouts; fewer may be an abbreviation.
const SHOUT_MIN: usize = 12;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Must be mended.
    Error,
    /// Should be looked at.
    Warning,
}

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where, in the JSON form: `infos[0].headline`.
    pub path: String,
    /// Which rule: a stable word.
    pub rule: &'static str,
    /// How much it weighs.
    pub severity: Grade,
    /// What is wrong, for people.
    pub message: String,
}

impl Finding {
    /// Something that must be mended.
    pub fn error(path: impl Into<String>, rule: &'static str, message: impl Into<String>) -> Self {
        Self { path: path.into(), rule, severity: Grade::Error, message: message.into() }
    }

    /// Something that should be looked at.
    pub fn warning(
        path: impl Into<String>,
        rule: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { severity: Grade::Warning, ..Self::error(path, rule, message) }
    }
}

/// Everything a publisher should hear about an alert, in the order of its parts.
pub fn lint(alert: &Alert, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    let withdraws = alert.msg_type == MsgType::Cancel;
    if !(withdraws && alert.infos.is_empty()) {
        lint_languages(alert, &mut found);
    }
    found.extend(alert.note.iter().flat_map(|note| lint_text("note", note)));
    for (index, info) in alert.infos.iter().enumerate() {
        let path = format!("infos[{index}]");
        lint_action(&path, info, &mut found);
        lint_expiry(&path, info, now, withdraws, &mut found);
        lint_headline(&path, info, &mut found);
        lint_level(&path, info, &mut found);
        lint_texts(&path, info, &mut found);
    }
    found.extend(summary::alert_words(alert).iter().filter_map(lint_payload));
    found
}

fn lint_languages(alert: &Alert, found: &mut Vec<Finding>) {
    let has = |wanted: &str| {
        let primary = |info: &Info| info.language.split('-').next().map(str::to_ascii_lowercase);
        alert.infos.iter().any(|info| primary(info).as_deref() == Some(wanted))
    };
    if !has("vi") {
        found.push(Finding::error("infos", "language_vi", "no info in Vietnamese (vi-VN)"));
    }
    if !has("en") {
        found.push(Finding::warning("infos", "language_en", "no info in English (en)"));
    }
}

fn lint_action(path: &str, info: &Info, found: &mut Vec<Finding>) {
    if Lane::of_alert(info.urgency, info.severity, info.certainty) != Lane::Emergency {
        return;
    }
    if info.instruction.as_deref().is_none_or(|text| text.trim().is_empty()) {
        let message = "an emergency must say what people should do";
        found.push(Finding::error(format!("{path}.instruction"), "action", message));
    }
    if info.response_types.is_empty() {
        let message = "an emergency should name its response types, apps show them as signs";
        found.push(Finding::warning(format!("{path}.response_types"), "response_type", message));
    }
}

fn lint_expiry(path: &str, info: &Info, now: Timestamp, withdraws: bool, found: &mut Vec<Finding>) {
    let path = format!("{path}.expires");
    let Some(expires) = info.expires else {
        if !withdraws {
            found.push(Finding::error(path, "expires", "says not when it is over"));
        }
        return;
    };
    let left = expires.instant().duration_since(now);
    if left <= SignedDuration::ZERO {
        found.push(Finding::error(path, "expires_past", format!("{expires} is over")));
    } else if left < DURATION_MIN && !withdraws {
        let message = format!("{} s are left, at least 300 are needed", left.as_secs());
        found.push(Finding::error(path, "too_short", message));
    } else if left > DURATION_LONG {
        let message =
            format!("{} hours are left, phones may show it again after 24", left.as_hours());
        found.push(Finding::warning(path, "too_long", message));
    }
}

fn lint_headline(path: &str, info: &Info, found: &mut Vec<Finding>) {
    let path = format!("{path}.headline");
    let Some(headline) = info.headline.as_deref().filter(|text| !text.trim().is_empty()) else {
        found.push(Finding::warning(path, "headline", "no headline, people see the event's name"));
        return;
    };
    let count = headline.chars().count();
    if count > HEADLINE_MAX {
        let message = format!("{count} characters, better at most {HEADLINE_MAX}");
        found.push(Finding::warning(path.clone(), "headline_length", message));
    }
    let small = headline.to_lowercase();
    if ["http://", "https://", "www."].iter().any(|start| small.contains(start)) {
        let message = "a link in a headline looks like fraud, put it into `web`";
        found.push(Finding::warning(path, "headline_url", message));
    }
}

fn lint_level(path: &str, info: &Info, found: &mut Vec<Finding>) {
    let message = match Level::of_info(info) {
        None => return,
        Some(Ok(level)) if level.severity() == info.severity => return,
        Some(Ok(level)) => {
            format!("level {level} is severity {}, not {}", level.severity(), info.severity)
        }
        Some(Err(error)) => error.to_string(),
    };
    found.push(Finding::error(format!("{path}.parameters"), "disaster_level", message));
}

fn lint_texts(path: &str, info: &Info, found: &mut Vec<Finding>) {
    let texts = [
        ("event", Some(&info.event)),
        ("sender_name", info.sender_name.as_ref()),
        ("headline", info.headline.as_ref()),
        ("description", info.description.as_ref()),
        ("instruction", info.instruction.as_ref()),
        ("contact", info.contact.as_ref()),
    ];
    for (field, text) in texts {
        let Some(text) = text else { continue };
        let path = format!("{path}.{field}");
        found.extend(lint_text(&path, text));
        let capitals = text.chars().filter(|c| c.is_uppercase()).count();
        if capitals >= SHOUT_MIN && !text.chars().any(char::is_lowercase) {
            found.push(Finding::warning(path, "shouting", "capitals only"));
        }
    }
    for (index, area) in info.areas.iter().enumerate() {
        found.extend(lint_text(&format!("{path}.areas[{index}].description"), &area.description));
    }
}

/// Characters that make a text read differently from what it is. One finding a rule.
pub fn lint_text(path: &str, text: &str) -> Vec<Finding> {
    let place = |wanted: fn(char) -> bool| text.chars().enumerate().find(|(_, c)| wanted(*c));
    let mut found = Vec::new();
    if let Some((at, c)) = place(is_control) {
        let message = format!("control character U+{:04X} at character {}", u32::from(c), at + 1);
        found.push(Finding::error(path, "control_character", message));
    }
    if let Some((at, c)) = place(is_zero_width) {
        let message = format!("invisible U+{:04X} at character {}", u32::from(c), at + 1);
        found.push(Finding::warning(path, "zero_width", message));
    }
    if !is_nfc(text) {
        let message = "not in normalisation form C: accents are written as letters of their own";
        found.push(Finding::warning(path, "nfc", message));
    }
    found
}

/// C0 and C1 controls but line ends and tabs, and what turns the direction of a text.
fn is_control(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        || matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}')
        || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Invisible, though some scripts and emoji need them.
fn is_zero_width(c: char) -> bool {
    matches!(c, '\u{00AD}' | '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}')
}

fn lint_payload(words: &Words) -> Option<Finding> {
    let size = PAYLOAD_FRAME + escaped_len(&words.title) + escaped_len(&words.body);
    if size <= PAYLOAD_MAX {
        return None;
    }
    let budget = PAYLOAD_MAX.saturating_sub(PAYLOAD_FRAME + escaped_len(&words.title));
    let kept = words.body[..cut_point(&words.body, budget)].chars().count();
    let message = format!(
        "in {} a push takes about {size} bytes of {PAYLOAD_MAX}: the text is cut after {kept} \
         characters, the app fetches the rest",
        words.language
    );
    Some(Finding::warning("infos", "payload_bytes", message))
}

/// Bytes of a text inside a JSON string, quotes not counted, as `serde_json` escapes it.
pub fn escaped_len(text: &str) -> usize {
    text.chars().map(escaped_char_len).sum()
}

fn escaped_char_len(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{08}' | '\u{0C}' => 2,
        '\0'..='\u{1F}' => 6,
        _ => c.len_utf8(),
    }
}

/// Where a text must be cut, in bytes and between characters, so that it takes at most `budget`
/// bytes inside a JSON string.
pub fn cut_point(text: &str, budget: usize) -> usize {
    let mut left = budget;
    for (at, c) in text.char_indices() {
        match left.checked_sub(escaped_char_len(c)) {
            Some(rest) => left = rest,
            None => return at,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests;
