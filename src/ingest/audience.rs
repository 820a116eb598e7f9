//! Targets to audiences, through the city's boundaries.

use std::collections::BTreeMap;

use crate::domain::agency::Agency;
use crate::domain::alert::{Alert, Area};
use crate::domain::audience::{AreaAudience, Audience, AudienceUnit, Coverage};
use crate::domain::ids::UnitCode;
use crate::domain::notice::AreaTarget;
use crate::domain::publication::Publication;
use crate::geofence::{Error, Target};
use crate::http::{Code, FieldError, Problem};
use crate::ingest::Ingest;

impl Ingest {
    /// The audience of an alert's areas.
    pub fn audience_of(&self, alert: &Alert) -> Result<AreaAudience, Problem> {
        self.matched(&Target::of_alert(alert).map_err(target_problem)?)
    }

    /// The audience of areas alone, for an alert that is still being written.
    pub fn audience_of_listed(&self, areas: &[Area]) -> Result<AreaAudience, Problem> {
        self.matched(&Target::of_areas(areas, "areas").map_err(target_problem)?)
    }

    /// The audience of a notice's target; every unit of the agency when there is none.
    pub fn audience_of_target(
        &self,
        agency: &Agency,
        target: Option<&AreaTarget>,
    ) -> Result<AreaAudience, Problem> {
        match target {
            Some(target) => self.matched(&Target::from(target)),
            None => {
                let own = agency.jurisdiction.units.as_ref();
                let codes = self.city.units().iter().map(|unit| &unit.code);
                let codes = codes.filter(|code| own.is_none_or(|own| own.contains(*code)));
                self.matched(&Target::of_units(codes))
            }
        }
    }

    fn matched(&self, target: &Target) -> Result<AreaAudience, Problem> {
        let matched = self.city.match_target(target, &self.matching).map_err(target_problem)?;
        if matched.audience.units.is_empty() {
            let message = "the target touches no unit of the city";
            let error = FieldError::new("area", "audience_not_empty", message);
            return Err(Problem::fields(Code::AudienceEmpty, vec![error]));
        }
        Ok(matched.audience)
    }
}

fn target_problem(error: Error) -> Problem {
    let message = error.to_string();
    match error {
        Error::UnknownUnit { field, .. } => Problem::field(field, "unit_known", message),
        Error::UnknownVintage { field, .. } => Problem::field(field, "vintage_known", message),
        Error::Invalid { field, .. } => Problem::field(field, "geometry_valid", message),
        Error::TooMany { field, .. } => Problem::field(field, "target_size", message),
        other => Problem::internal(&other),
    }
}

/// Everyone whom one of several publications was for.
pub fn union(publications: &[Publication]) -> Option<AreaAudience> {
    let areas = publications.iter().filter_map(|publication| match &publication.audience {
        Audience::Area(area) => Some(area),
        Audience::Subject { .. } => None,
    });
    areas.cloned().reduce(|one, other| {
        let mut units: BTreeMap<UnitCode, AudienceUnit> =
            one.units.into_iter().map(|unit| (unit.code.clone(), unit)).collect();
        for unit in other.units {
            let joined = match units.remove(&unit.code) {
                Some(known) => join(known, unit),
                None => unit,
            };
            units.insert(joined.code.clone(), joined);
        }
        AreaAudience { units: units.into_values().collect(), ..other }
    })
}

fn join(one: AudienceUnit, other: AudienceUnit) -> AudienceUnit {
    let coverage = match (one.coverage, other.coverage) {
        (Coverage::Whole, _) | (_, Coverage::Whole) => Coverage::Whole,
        (Coverage::Cells { cells: mut all }, Coverage::Cells { cells }) => {
            all.extend(cells);
            Coverage::Cells { cells: sorted(all) }
        }
        (
            Coverage::Part { cells: mut all } | Coverage::Cells { cells: mut all },
            Coverage::Part { cells } | Coverage::Cells { cells },
        ) => {
            all.extend(cells);
            Coverage::Part { cells: sorted(all) }
        }
    };
    AudienceUnit { code: one.code, share: one.share.max(other.share), coverage }
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}
