//! Devices: who wants to be warned where, in which language, and of what.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::alert::{Category, Severity};
use crate::domain::cell::Cell;
use crate::domain::channel::PushAddress;
use crate::domain::ids::{DeviceId, DeviceNum, SubjectId, UnitCode};
use crate::domain::lane::Lane;

mod rules;

pub use rules::{Violation, validate};

/// Places a device may have.
pub const PLACES_MAX: usize = 16;
/// Languages a device may name.
pub const LANGUAGES_MAX: usize = 8;

/// Where a device wants to be warned for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The chosen unit, or the unit that holds the middle of the cell.
    pub unit: UnitCode,
    /// A coarse cell, kept only with the separate consent to location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<Cell>,
}

/// What a person may mute. Muting never stops an emergency of the highest severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interest {
    /// Alerts of one CAP category.
    Alert(Category),
    /// News.
    News,
    /// Surveys.
    Survey,
    /// Status changes of the citizen's own reports and dossiers.
    Status,
}

/// Local hours in which nothing may sound, as minutes after midnight; may wrap over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// First quiet minute, 0..1440.
    pub from_minute: u16,
    /// First minute that is no longer quiet, 0..1440.
    pub to_minute: u16,
}

impl QuietHours {
    /// Whether a minute after local midnight is quiet.
    pub fn contains(self, minute: u16) -> bool {
        if self.from_minute <= self.to_minute {
            (self.from_minute..self.to_minute).contains(&minute)
        } else {
            minute >= self.from_minute || minute < self.to_minute
        }
    }
}

/// The citizen's consent to keep a coarse cell: which text, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocationConsent {
    /// Version of the consent text that was shown.
    pub text_version: String,
    /// When it was given.
    pub given_at: Timestamp,
}

/// What a device says of itself: everything but the numbers the registry gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Where its pushes go.
    pub address: PushAddress,
    /// Where it wants to be warned for; at most [`PLACES_MAX`], no two the same.
    pub places: Vec<Place>,
    /// BCP 47 tags, the preferred first; at least one, at most [`LANGUAGES_MAX`].
    pub languages: Vec<String>,
    /// What the person does not want.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub muted: BTreeSet<Interest>,
    /// When nothing may sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<QuietHours>,
    /// Needed when a place has a cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_consent: Option<LocationConsent>,
    /// Takes part in exercises (CAP status Exercise).
    #[serde(default)]
    pub exercises: bool,
    /// The app's version, for the operators' statistics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
}

/// A registered device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// The registry's number for it.
    pub num: DeviceNum,
    /// The id it knows itself by.
    pub id: DeviceId,
    /// What it said of itself.
    pub profile: Profile,
    /// The citizen it belongs to, if one logged in.
    pub subject: Option<SubjectId>,
    /// When its present push address was registered; guards against late "unregistered" answers.
    pub address_since: Timestamp,
}

/// How a publication may reach a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// With sound.
    Loud,
    /// Delivered, but without sound: the person's quiet hours.
    Silent,
    /// Not delivered: the person muted it.
    Muted,
}

impl Profile {
    /// Whether, and how, something of these interests may reach this device at a local minute of
    /// the day. Only an emergency of the highest severity overrides the person's choice.
    pub fn permission(
        &self,
        lane: Lane,
        severity: Severity,
        interests: &[Interest],
        minute: u16,
    ) -> Permission {
        if lane == Lane::Emergency && severity == Severity::Extreme {
            return Permission::Loud;
        }
        if !interests.is_empty() && interests.iter().all(|interest| self.muted.contains(interest)) {
            return Permission::Muted;
        }
        match self.quiet_hours {
            Some(hours) if hours.contains(minute) => Permission::Silent,
            _ => Permission::Loud,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        Profile {
            address: PushAddress::Websocket,
            places: vec![],
            languages: vec!["vi".into()],
            muted: [Interest::Alert(Category::Met)].into(),
            quiet_hours: Some(QuietHours { from_minute: 22 * 60, to_minute: 6 * 60 }),
            location_consent: None,
            exercises: false,
            app_version: None,
        }
    }

    #[test]
    fn only_an_extreme_emergency_overrides_the_persons_choice() {
        let met = [Interest::Alert(Category::Met)];
        let ask = |lane, severity, minute| profile().permission(lane, severity, &met, minute);
        assert_eq!(ask(Lane::Emergency, Severity::Extreme, 0), Permission::Loud);
        assert_eq!(ask(Lane::Emergency, Severity::Severe, 720), Permission::Muted);
        assert_eq!(ask(Lane::Routine, Severity::Extreme, 720), Permission::Muted);
        let both = [Interest::Alert(Category::Met), Interest::Alert(Category::Fire)];
        let night = profile().permission(Lane::Emergency, Severity::Severe, &both, 23 * 60);
        assert_eq!(night, Permission::Silent);
        let noon = profile().permission(Lane::Routine, Severity::Minor, &[Interest::News], 720);
        assert_eq!(noon, Permission::Loud);
    }

    #[test]
    fn quiet_hours_wrap_over_midnight() {
        let night = QuietHours { from_minute: 1320, to_minute: 360 };
        assert!(
            night.contains(0)
                && night.contains(1320)
                && !night.contains(360)
                && !night.contains(720)
        );
        let nap = QuietHours { from_minute: 720, to_minute: 780 };
        assert!(nap.contains(720) && !nap.contains(780));
    }
}
