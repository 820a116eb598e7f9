//! Targets to audiences, through the city's boundaries.

use std::collections::BTreeMap;

use crate::domain::alert::Alert;
use crate::domain::audience::{AreaAudience, AudienceUnit, Coverage};
use crate::domain::ids::UnitCode;
use crate::domain::notice::AreaTarget;
use crate::domain::publication::Publication;
use crate::domain::audience::Audience;
use crate::geofence;
use crate::http::{Code, FieldError, Problem};
use crate::ingest::Ingest;

impl Ingest {
    /// The audience of an alert's areas.
    pub fn audience_of(&self, alert: &Alert) -> Result<AreaAudience, Problem> {
        let target = geofence::Target::of_alert(alert).map_err(target_problem)?;
        self.matched(&target)
    }

    /// The audience of a notice's target; every unit when there is none.
    pub fn audience_of_target(&self, target: Option<&AreaTarget>) -> Result<AreaAudience, Problem> {
        match target {
            Some(target) => {
                let target = geofence::Target::of_area(target).map_err(target_problem)?;
                self.matched(&target)
            }
            None => Ok(self.city.load().everywhere()),
        }
    }

    fn matched(&self, target: &geofence::Target) -> Result<AreaAudience, Problem> {
        let city = self.city.load();
        let matched = city.match_target(target, &Default::default()).map_err(target_problem)?;
        let audience = matched.audience();
        if audience.units.is_empty() {
            let message = "the target touches no unit of the city";
            let error = FieldError::new("area", "audience_not_empty", message);
            return Err(Problem::fields(Code::AudienceEmpty, vec![error]));
        }
        Ok(audience)
    }
}

fn target_problem(error: geofence::Error) -> Problem {
    Problem::field(error.path(), error.rule(), &error)
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
