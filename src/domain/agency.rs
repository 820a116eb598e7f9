//! Agencies: who publishes, and what they may.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::alert::{Category, Severity};
use crate::domain::certificate::CapSigning;
use crate::domain::ids::{AgencyId, UnitCode};
use crate::domain::publication::{Action, Content, Publication};

/// The kinds of publication an agency may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// CAP alerts.
    Alert,
    /// Status changes.
    StatusChange,
    /// News and surveys.
    Notice,
}

/// Where, of what and how gravely an agency may speak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jurisdiction {
    /// Units it may address; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<BTreeSet<UnitCode>>,
    /// CAP categories it may use; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<BTreeSet<Category>>,
    /// The gravest severity it may use.
    pub highest_severity: Severity,
    /// The kinds it may publish.
    pub kinds: BTreeSet<Kind>,
}

/// An agency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agency {
    /// Its id.
    pub id: AgencyId,
    /// Its name for people.
    pub name: String,
    /// What it may.
    pub jurisdiction: Jurisdiction,
    /// The city's operators: see every publication, dead letters and the node's state.
    #[serde(default)]
    pub operator: bool,
    /// A hot alert that comes over the API waits for a second person or key, or is published with
    /// a recorded override. In the console that is always so.
    #[serde(default)]
    pub second_person: bool,
    /// What it signs submissions on the log with, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub submission_keys: BTreeMap<String, PublicKey>,
    /// What it signs its CAP messages with, and whether it must.
    #[serde(default, skip_serializing_if = "CapSigning::is_unused")]
    pub cap_signing: CapSigning,
}

/// The most submission keys of one agency: one in use, one that follows it, and some to spare.
pub const SUBMISSION_KEYS_MAX: usize = 8;
/// The id under which Loa itself publishes link tests.
pub const DRILLS: &str = "loa-drills";

/// An Ed25519 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for PublicKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Agency {
    /// Whether it may something that it might not before, or waits for fewer people.
    pub fn exceeds(&self, before: &Agency) -> bool {
        let more =
            (self.operator && !before.operator) || (before.second_person && !self.second_person);
        more || self.jurisdiction.exceeds(&before.jurisdiction)
            || self.cap_signing.exceeds(&before.cap_signing)
    }
}

/// A publication outside its agency's jurisdiction.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Trespass {
    /// The kind is not among those allowed.
    #[error("the agency may not publish this kind ({0:?})")]
    Kind(Kind),
    /// Units outside.
    #[error("outside the agency's units: {}", listed(.0))]
    Units(Vec<UnitCode>),
    /// A category outside.
    #[error("the agency may not use category {0}")]
    Category(Category),
    /// Graver than allowed.
    #[error("severity {given} is graver than the agency's highest, {highest}")]
    Severity {
        /// What was given.
        given: Severity,
        /// The gravest allowed.
        highest: Severity,
    },
}

fn listed(units: &[UnitCode]) -> String {
    units.iter().map(UnitCode::as_str).collect::<Vec<_>>().join(", ")
}

impl Jurisdiction {
    /// Everything, for demonstrations and tests of other things.
    pub fn unlimited() -> Self {
        Self {
            units: None,
            categories: None,
            highest_severity: Severity::Extreme,
            kinds: [Kind::Alert, Kind::StatusChange, Kind::Notice].into(),
        }
    }

    /// Whether it allows something that another does not.
    pub fn exceeds(&self, other: &Jurisdiction) -> bool {
        wider(self.units.as_ref(), other.units.as_ref())
            || wider(self.categories.as_ref(), other.categories.as_ref())
            || self.highest_severity < other.highest_severity
            || !self.kinds.is_subset(&other.kinds)
    }

    /// Checks a publication as it was accepted. A cancel takes nothing from anyone, so neither its
    /// category nor its severity is looked at.
    pub fn trespasses(&self, publication: &Publication) -> Vec<Trespass> {
        let (kind, categories, severity) = match &publication.content {
            Content::Alert(_) if publication.action() == Action::Cancel => {
                (Kind::Alert, Vec::new(), None)
            }
            Content::Alert(alert) => {
                let mut all: Vec<Category> =
                    alert.infos.iter().flat_map(|info| info.categories.iter().copied()).collect();
                all.sort_unstable();
                all.dedup();
                (Kind::Alert, all, alert.infos.iter().map(|info| info.severity).min())
            }
            Content::StatusChange(_) => (Kind::StatusChange, Vec::new(), None),
            Content::Notice(_) => (Kind::Notice, Vec::new(), None),
        };
        self.check(kind, publication.audience.addressed(), &categories, severity)
    }

    /// Checks one publication; every trespass is reported.
    pub fn check<'a>(
        &self,
        kind: Kind,
        units: impl IntoIterator<Item = &'a UnitCode>,
        categories: &[Category],
        severity: Option<Severity>,
    ) -> Vec<Trespass> {
        let mut found = Vec::new();
        if !self.kinds.contains(&kind) {
            found.push(Trespass::Kind(kind));
        }
        if let Some(allowed) = &self.units {
            let outside: Vec<_> =
                units.into_iter().filter(|unit| !allowed.contains(*unit)).cloned().collect();
            if !outside.is_empty() {
                found.push(Trespass::Units(outside));
            }
        }
        if let Some(allowed) = &self.categories {
            let outside = categories.iter().filter(|category| !allowed.contains(category));
            found.extend(outside.map(|category| Trespass::Category(*category)));
        }
        // Severity's order is the standard's: the gravest is the least.
        if let Some(given) = severity.filter(|given| *given < self.highest_severity) {
            found.push(Trespass::Severity { given, highest: self.highest_severity });
        }
        found
    }
}

/// Whether a list allows something that another does not; no list allows all.
fn wider<T: Ord>(list: Option<&BTreeSet<T>>, other: Option<&BTreeSet<T>>) -> bool {
    match (list, other) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(list), Some(other)) => !list.is_subset(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_allows_more_exceeds() {
        let narrow = Jurisdiction {
            units: Some(["1".parse().expect("a code")].into()),
            categories: Some([Category::Fire].into()),
            highest_severity: Severity::Severe,
            kinds: [Kind::Alert].into(),
        };
        assert!(!narrow.exceeds(&narrow) && !narrow.exceeds(&Jurisdiction::unlimited()));
        let widen: [fn(&mut Jurisdiction); 5] = [
            |wide| wide.units = None,
            |wide| wide.categories = None,
            |wide| wide.units = Some(["1", "2"].map(|code| code.parse().expect("a code")).into()),
            |wide| wide.highest_severity = Severity::Extreme,
            |wide| wide.kinds = [Kind::Alert, Kind::Notice].into(),
        ];
        for widen in widen {
            let mut wide = narrow.clone();
            widen(&mut wide);
            assert!(wide.exceeds(&narrow), "{wide:?}");
        }
    }

    #[test]
    fn every_trespass_is_named() {
        let jurisdiction = Jurisdiction {
            units: Some(["1".parse().expect("a code")].into()),
            categories: Some([Category::Fire].into()),
            highest_severity: Severity::Severe,
            kinds: [Kind::Alert].into(),
        };
        let units: Vec<UnitCode> = ["1", "2"].map(|text| text.parse().expect("a code")).into();
        let one =
            jurisdiction.check(Kind::Alert, &units[..1], &[Category::Fire], Some(Severity::Severe));
        assert_eq!(one, []);
        let all =
            jurisdiction.check(Kind::Notice, &units, &[Category::Met], Some(Severity::Extreme));
        assert_eq!(all.len(), 4, "{all:?}");
        assert!(all[1].to_string().ends_with(": 2"), "{}", all[1]);
    }
}
