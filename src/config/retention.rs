//! How long what is over is kept, by kind: `[retention]`.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// Bounds of what is kept after its end, in days. Ten years is what archives ask for at most.
const DAYS: std::ops::RangeInclusive<u32> = 1..=3650;
/// The ledger's rows count from the acceptance, and a notice may live 30 days
/// (`domain::notice::LIFETIME_MAX`): the funnel of what still lives is never cut off.
const RECEIPTS_DAYS: std::ops::RangeInclusive<u32> = 31..=3650;
/// An app that is asleep for a holiday is not to be dropped.
const DEVICES_DAYS: std::ops::RangeInclusive<u32> = 60..=3650;

/// Days by kind; what is not said is as `node.keep_days`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Alerts and notices, after their expiry.
    pub alerts_days: Option<u32>,
    /// What was said to one citizen alone, after its expiry.
    pub personal_days: Option<u32>,
    /// Who was reached, and receipts: after the acceptance.
    pub receipts_days: Option<u32>,
    /// Answers to alerts and surveys, after the last change.
    pub answers_days: Option<u32>,
    /// Closed drafts, after the last change.
    pub drafts_days: Option<u32>,
    /// Devices, after they were last seen.
    pub devices_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            alerts_days: None,
            personal_days: None,
            receipts_days: None,
            answers_days: None,
            drafts_days: None,
            devices_days: 400,
        }
    }
}

/// How long each kind is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// Alerts and notices, after their expiry.
    pub alerts: SignedDuration,
    /// What was said to one citizen alone, after its expiry.
    pub personal: SignedDuration,
    /// The ledger, after the acceptance.
    pub receipts: SignedDuration,
    /// Answers, after the last change.
    pub answers: SignedDuration,
    /// Closed drafts, after the last change.
    pub drafts: SignedDuration,
    /// Devices, after they were last seen.
    pub devices: SignedDuration,
}

impl Retention {
    /// Every rule that is broken, with the key below the table.
    pub fn problems(&self) -> Vec<String> {
        let wide = [
            ("alerts_days", self.alerts_days),
            ("personal_days", self.personal_days),
            ("answers_days", self.answers_days),
            ("drafts_days", self.drafts_days),
        ];
        let wide = wide.map(|(name, days)| (name, days, DAYS));
        let others = [
            ("receipts_days", self.receipts_days, RECEIPTS_DAYS),
            ("devices_days", Some(self.devices_days), DEVICES_DAYS),
        ];
        let broken = wide
            .into_iter()
            .chain(others)
            .filter(|(_, days, bounds)| days.is_some_and(|days| !bounds.contains(&days)));
        broken
            .map(|(name, _, bounds)| {
                format!("{name}: must be {}..={}", bounds.start(), bounds.end())
            })
            .collect()
    }

    /// How long each kind is kept; `keep_days` for what is not said.
    pub fn periods(&self, keep_days: u32) -> Periods {
        let days = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
        let or_kept = |own: Option<u32>| days(own.unwrap_or(keep_days));
        Periods {
            alerts: or_kept(self.alerts_days),
            personal: or_kept(self.personal_days),
            receipts: days(self.receipts_days.unwrap_or(keep_days.max(*RECEIPTS_DAYS.start()))),
            answers: or_kept(self.answers_days),
            drafts: or_kept(self.drafts_days),
            devices: days(self.devices_days),
        }
    }
}

/// The instant that lies so long before another.
pub fn before(now: Timestamp, period: SignedDuration) -> Timestamp {
    now.checked_sub(period).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_the_node_keeps_all() {
        let own = Retention { personal_days: Some(30), ..Retention::default() };
        let hours = |period: SignedDuration| period.as_hours() / 24;
        let periods = own.periods(7);
        assert_eq!((hours(periods.alerts), hours(periods.personal)), (7, 30));
        assert_eq!(hours(periods.receipts), 31, "never less than a notice may live");
        assert_eq!((hours(periods.answers), hours(periods.drafts)), (7, 7));
        assert_eq!(hours(periods.devices), 400);
    }

    #[test]
    fn each_bound_is_named() {
        let wrong = Retention {
            alerts_days: Some(0),
            receipts_days: Some(30),
            devices_days: 59,
            ..Retention::default()
        };
        let named: Vec<_> = wrong.problems();
        assert_eq!(
            named,
            [
                "alerts_days: must be 1..=3650",
                "receipts_days: must be 31..=3650",
                "devices_days: must be 60..=3650",
            ]
        );
        assert!(Retention::default().problems().is_empty());
    }
}
