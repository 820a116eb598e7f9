//! Lanes: how fast a publication goes, and what yields to what.
//!
//! Status changes are personal, notices routine. An alert's lane follows from three terms of CAP
//! (a total table: all 125 combinations have exactly one lane):
//!
//! | urgency | severity | certainty | lane | combinations |
//! | --- | --- | --- | --- | --- |
//! | Immediate, Expected | Extreme, Severe | Observed, Likely | emergency | 8 |
//! | anything else | | | routine | 117 |
//!
//! These are the terms of an *imminent threat alert* in 47 CFR 10.400(b) (Wireless Emergency
//! Alerts): act within the hour, a significant threat at least, more likely than not. Raising any
//! of the three never makes an alert less urgent; `Past` and `Unknown` are never hot. An alert in
//! several languages takes its most urgent `info`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::alert::{Alert, Certainty, Severity, Urgency};
use crate::domain::publication::Content;

/// A lane has log topics and worker capacity of its own; `Emergency` pre-empts the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Hot alerts.
    Emergency,
    /// One citizen's status changes.
    Personal,
    /// News, surveys and alerts that can wait.
    Routine,
}

impl Lane {
    /// Every lane, the most urgent first.
    pub const ALL: [Lane; 3] = [Lane::Emergency, Lane::Personal, Lane::Routine];

    /// The lane's name in topics, metrics and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Lane::Emergency => "emergency",
            Lane::Personal => "personal",
            Lane::Routine => "routine",
        }
    }

    /// The lane of one `info`'s terms, by the table above.
    pub fn of_alert(urgency: Urgency, severity: Severity, certainty: Certainty) -> Self {
        let soon = matches!(urgency, Urgency::Immediate | Urgency::Expected);
        let grave = matches!(severity, Severity::Extreme | Severity::Severe);
        let sure = matches!(certainty, Certainty::Observed | Certainty::Likely);
        if soon && grave && sure { Lane::Emergency } else { Lane::Routine }
    }

    /// The lane of an alert: that of its most urgent `info`, and never slower than what it updates
    /// or cancels (`replaced`), so that an all-clear, whose own urgency is `Past`, neither waits
    /// behind the news nor arrives out of order.
    pub fn of_message(alert: &Alert, replaced: impl IntoIterator<Item = Lane>) -> Self {
        let own = alert
            .infos
            .iter()
            .map(|info| Self::of_alert(info.urgency, info.severity, info.certainty));
        own.chain(replaced).min().unwrap_or(Lane::Routine)
    }

    /// The lane of anything that is published; `replaced` as in [`Lane::of_message`].
    pub fn of(content: &Content, replaced: impl IntoIterator<Item = Lane>) -> Self {
        match content {
            Content::Alert(alert) => Self::of_message(alert, replaced),
            Content::StatusChange(_) => Lane::Personal,
            Content::Notice(_) => Lane::Routine,
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = (usize, usize, usize, Lane)> {
        let terms = |u: usize, s: usize, c: usize| {
            Lane::of_alert(Urgency::ALL[u], Severity::ALL[s], Certainty::ALL[c])
        };
        (0..125).map(move |n| (n / 25, n / 5 % 5, n % 5, terms(n / 25, n / 5 % 5, n % 5)))
    }

    #[test]
    fn the_table_holds_for_all_125_combinations() {
        let hot = |lane: &(usize, usize, usize, Lane)| lane.3 == Lane::Emergency;
        assert_eq!(all().filter(hot).count(), 8);
        // The first two terms of each vocabulary are those of the table.
        assert!(all().filter(hot).all(|(u, s, c, _)| u < 2 && s < 2 && c < 2));
        assert!(!all().any(|row| row.3 == Lane::Personal));
    }

    #[test]
    fn raising_any_term_never_makes_an_alert_less_urgent() {
        // Each vocabulary is ordered from the most to the least pressing, `Unknown` last.
        let rows: Vec<_> = all().collect();
        let at = |u: usize, s: usize, c: usize| rows[u * 25 + s * 5 + c].3;
        for &(u, s, c, lane) in &rows {
            assert!(u == 0 || at(u - 1, s, c) <= lane);
            assert!(s == 0 || at(u, s - 1, c) <= lane);
            assert!(c == 0 || at(u, s, c - 1) <= lane);
        }
    }

    #[test]
    fn several_infos_take_the_most_urgent_and_a_cancel_keeps_the_lane_of_what_it_cancels() {
        let alert = |terms: &[(&str, &str, &str)]| -> Alert {
            let infos: Vec<_> = terms
                .iter()
                .map(|(urgency, severity, certainty)| {
                    serde_json::json!({"language": "vi-VN", "categories": ["Met"], "event": "Bão",
                        "urgency": urgency, "severity": severity, "certainty": certainty})
                })
                .collect();
            serde_json::from_value(serde_json::json!({"identifier": "1", "sender": "kttv",
                "sent": "2026-08-01T16:30:00+07:00", "status": "Actual", "msg_type": "Alert",
                "scope": "Public", "infos": infos}))
            .expect("an alert")
        };
        let calm = ("Future", "Minor", "Possible");
        let hot = ("Expected", "Severe", "Likely");
        assert_eq!(Lane::of_message(&alert(&[calm, hot]), []), Lane::Emergency);
        let clear = alert(&[("Past", "Minor", "Observed")]);
        assert_eq!(Lane::of_message(&clear, []), Lane::Routine);
        assert_eq!(Lane::of_message(&clear, [Lane::Emergency]), Lane::Emergency);
        assert_eq!(Lane::of_message(&alert(&[]), []), Lane::Routine);
    }
}
