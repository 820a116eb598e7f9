//! Audiences: what a target resolves to, and which of a device's places owns a delivery.

use serde::{Deserialize, Serialize};

use crate::domain::cell::Cell;
use crate::domain::device::Place;
use crate::domain::ids::{SubjectId, UnitCode, Vintage};

/// How true the boundaries were that an audience was computed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boundaries {
    /// The built-in approximation; shown as such everywhere.
    Approximate,
    /// Boundaries an operator imported.
    Imported,
}

impl Boundaries {
    /// The word shown wherever boundaries matter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approximate => "approximate",
            Self::Imported => "imported",
        }
    }
}

/// Who a publication is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Audience {
    /// Everyone with a place in these units.
    Area(AreaAudience),
    /// One citizen, on all their devices.
    Subject {
        /// The citizen's pseudonym.
        subject: SubjectId,
        /// The pseudonyms that this one took the place of, while their keys live: whatever still
        /// has one of them means the same citizen. Never written; the store that reads it knows.
        #[serde(skip)]
        former: Vec<SubjectId>,
    },
}

/// Units, whole or in part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AreaAudience {
    /// How true the boundaries were.
    pub boundaries: Boundaries,
    /// Which set of unit codes these are.
    pub vintage: Vintage,
    /// Sorted by code, each code once.
    pub units: Vec<AudienceUnit>,
}

/// One unit of an audience.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudienceUnit {
    /// The unit.
    pub code: UnitCode,
    /// The part of the unit's area that is inside the target, 0..=1.
    pub share: f64,
    /// Which of its places are in.
    pub coverage: Coverage,
}

/// Which places of a unit are in an audience.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Coverage {
    /// Every place of the unit.
    Whole,
    /// Part of the unit: places chosen as the whole unit are warned, marked coarse; cells only if
    /// they touch the target.
    Part {
        /// Sorted cells whose home is this unit and that touch the target.
        cells: Vec<Cell>,
    },
    /// The target only touches cells that stick out of this unit: those cells and nothing else.
    Cells {
        /// Sorted cells.
        cells: Vec<Cell>,
    },
}

/// How a place lies in an audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Inside, as exactly as the place is known.
    Exact,
    /// The unit is covered in part and the place is the whole unit: warned, marked coarse.
    Coarse,
}

impl Audience {
    /// The units that are addressed. A coarse cell that sticks out into the target is warned with
    /// it; its home unit, which the target does not touch, is not addressed by that.
    pub fn addressed(&self) -> impl Iterator<Item = &UnitCode> {
        let units = match self {
            Audience::Area(area) => area.units.as_slice(),
            Audience::Subject { .. } => &[],
        };
        let touched = units.iter().filter(|unit| !matches!(unit.coverage, Coverage::Cells { .. }));
        touched.map(|unit| &unit.code)
    }

    /// One citizen, who never had another pseudonym.
    pub fn of_subject(subject: SubjectId) -> Self {
        Audience::Subject { subject, former: Vec::new() }
    }

    /// Every pseudonym of the one citizen it is for; none for an area.
    pub fn names(&self) -> impl Iterator<Item = &SubjectId> {
        let names = match self {
            Audience::Area(_) => None,
            Audience::Subject { subject, former } => Some(std::iter::once(subject).chain(former)),
        };
        names.into_iter().flatten()
    }

    /// Whether it is this one citizen.
    pub fn is_subject(&self, subject: &SubjectId) -> bool {
        self.names().any(|name| name == subject)
    }
}

impl AudienceUnit {
    /// Whether a place of this unit is in.
    pub fn fit(&self, place: &Place) -> Option<Fit> {
        match (&self.coverage, place.cell) {
            (Coverage::Whole, _) => Some(Fit::Exact),
            (Coverage::Part { .. }, None) => Some(Fit::Coarse),
            (Coverage::Cells { .. }, None) => None,
            (Coverage::Part { cells } | Coverage::Cells { cells }, Some(cell)) => {
                cells.binary_search(&cell).is_ok().then_some(Fit::Exact)
            }
        }
    }
}

impl AreaAudience {
    /// The entry of a unit.
    pub fn unit(&self, code: &UnitCode) -> Option<&AudienceUnit> {
        self.units.binary_search_by(|unit| unit.code.cmp(code)).ok().map(|index| &self.units[index])
    }

    /// Whether a place is in.
    pub fn fit(&self, place: &Place) -> Option<Fit> {
        self.unit(&place.unit)?.fit(place)
    }

    /// The one place that owns a delivery to a device: the first, in the device's own order, that
    /// is in the audience. Router, workers and gateways compute it alike, so a device with several
    /// places inside is sent to once without a shared list of who was sent to.
    pub fn owner<'a>(&self, places: &'a [Place]) -> Option<(&'a Place, Fit)> {
        places.iter().find_map(|place| self.fit(place).map(|fit| (place, fit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> UnitCode {
        text.parse().expect("a code")
    }

    fn audience() -> AreaAudience {
        let cell: Cell = "w3gvk1".parse().expect("a cell");
        let unit = |text: &str, coverage| AudienceUnit { code: code(text), share: 0.5, coverage };
        AreaAudience {
            boundaries: Boundaries::Imported,
            vintage: "2025-07".parse().expect("a vintage"),
            units: vec![
                unit("1", Coverage::Whole),
                unit("2", Coverage::Part { cells: vec![cell] }),
                unit("3", Coverage::Cells { cells: vec![cell] }),
            ],
        }
    }

    fn place(unit: &str, cell: Option<&str>) -> Place {
        Place { unit: code(unit), cell: cell.map(|text| text.parse().expect("a cell")) }
    }

    #[test]
    fn unit_places_in_a_part_are_warned_and_marked_coarse() {
        let audience = audience();
        assert_eq!(audience.fit(&place("1", Some("w3gvk2"))), Some(Fit::Exact));
        assert_eq!(audience.fit(&place("2", None)), Some(Fit::Coarse));
        assert_eq!(audience.fit(&place("2", Some("w3gvk1"))), Some(Fit::Exact));
        assert_eq!(audience.fit(&place("2", Some("w3gvk2"))), None);
        assert_eq!(audience.fit(&place("3", None)), None);
        assert_eq!(audience.fit(&place("3", Some("w3gvk1"))), Some(Fit::Exact));
        assert_eq!(audience.fit(&place("4", None)), None);
    }

    #[test]
    fn a_device_with_several_places_inside_is_owned_by_the_first() {
        let places = [place("3", None), place("2", None), place("1", None)];
        let audience = audience();
        let (owner, fit) = audience.owner(&places).expect("two places are in");
        assert_eq!((owner.unit.as_str(), fit), ("2", Fit::Coarse));
    }
}
