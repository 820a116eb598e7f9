//! Is a file of boundaries fit to warn by: count, codes, validity, overlaps, areas, gaps.

use std::collections::{BTreeMap, BTreeSet};

use geo::coordinate_position::CoordPos;
use geo::{
    BooleanOps, BoundingRect, CoordinatePosition, Intersects, MultiPolygon, Polygon, Rect,
    unary_union,
};
use serde::Serialize;

use crate::domain::ids::UnitCode;
use crate::geofence::boundaries::{self, Boundary};
use crate::geofence::city::{builtin_units, units_of};
use crate::geofence::clip::{grown, to_box};
use crate::geofence::shape::{Contact, area_m2, self_contact};
use crate::geofence::{BUILTIN_CITY, Error, Unit};

/// An overlap of two units up to this is the rounding of their shared border; above it people
/// would belong to two units, and the file is refused. Clean sets stay under 0.0003 km² in all.
const OVERLAP_MAX_KM2: f64 = 0.01;
/// A hole between units that is worth naming.
const GAP_MIN_KM2: f64 = 0.01;
/// Stated and measured areas of good sources differ by more than this in one unit of nine: named,
/// not refused.
const DEVIATION_NAMED: f64 = 0.05;
/// A file whose whole area is this far from the stated one is of something else.
const TOTAL_DEVIATION_MAX: f64 = 0.1;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Features in the file.
    pub features: usize,
    /// Units there should be: the built-in list, or what the file itself names.
    pub units: usize,
    /// Whether the codes were held against a built-in list.
    pub known_city: bool,
    /// Codes of the list that the file lacks.
    pub missing: Vec<UnitCode>,
    /// Codes of the file that the list lacks.
    pub unknown: Vec<UnitCode>,
    /// Codes that stand more than once.
    pub duplicate: Vec<UnitCode>,
    /// Boundaries that are no valid area.
    pub invalid: Vec<Invalid>,
    /// Pairs of units that overlap by more than rounding.
    pub overlaps: Vec<Overlap>,
    /// The ground that more than one unit claims, the tolerated included, in square kilometres.
    pub overlap_km2: f64,
    /// Holes enclosed by units, in square kilometres, the largest first.
    pub gaps_km2: Vec<f64>,
    /// Stated area of all units in square kilometres.
    pub stated_km2: f64,
    /// Measured area of all units that are valid, in square kilometres.
    pub measured_km2: f64,
    /// Every valid unit's stated and measured area, the largest deviation first. What encloses no
    /// valid area has none to measure.
    pub areas: Vec<UnitArea>,
}

/// A boundary that is no valid area.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Invalid {
    /// The unit.
    pub code: UnitCode,
    /// What is wrong.
    pub reason: String,
}

/// Two units that share ground.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overlap {
    /// Codes and names of the two.
    pub units: [(UnitCode, String); 2],
    /// How much, in square kilometres.
    pub km2: f64,
}

/// A unit's area, stated and measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnitArea {
    /// The unit.
    pub code: UnitCode,
    /// Its name.
    pub name: String,
    /// As stated, in square kilometres.
    pub stated_km2: f64,
    /// As measured on the ellipsoid, in square kilometres.
    pub measured_km2: f64,
    /// Measured against stated, 0 being equal.
    pub deviation: f64,
}

/// Checks a file of boundaries; an error means that it could not even be read.
pub fn check(text: &str) -> Result<Report, Error> {
    let features = boundaries::read(text)?;
    let units = units_of(&features)?;
    let mut report = Report {
        features: features.len(),
        units: units.len(),
        known_city: units == builtin_units(BUILTIN_CITY)?,
        ..Report::default()
    };
    check_codes(&features, &units, &mut report);
    check_validity(&features, &mut report);
    check_areas(&features, &units, &mut report);
    check_topology(&features, &units, &mut report);
    Ok(report)
}

impl Report {
    /// Why the file must not be installed; empty when it may.
    pub fn errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        if self.units == 0 {
            errors.push("the file holds no unit".to_owned());
        }
        let mut codes = |what: &str, codes: &[UnitCode]| {
            if !codes.is_empty() {
                errors.push(format!("{} {what}: {}", codes.len(), listed(codes)));
            }
        };
        codes("units missing", &self.missing);
        codes("unknown codes", &self.unknown);
        codes("codes given twice", &self.duplicate);
        let invalid = self.invalid.iter();
        errors
            .extend(invalid.map(|unit| format!("unit {} is invalid: {}", unit.code, unit.reason)));
        errors.extend(self.overlaps.iter().map(|overlap| {
            let [(a, a_name), (b, b_name)] = &overlap.units;
            format!("{a_name} ({a}) and {b_name} ({b}) overlap by {:.2} km²", overlap.km2)
        }));
        let all_measured = self.invalid.is_empty();
        if all_measured && (self.measured_km2 / self.stated_km2 - 1.0).abs() > TOTAL_DEVIATION_MAX {
            errors.push(format!(
                "measures {:.0} km², {:.0} km² are stated",
                self.measured_km2, self.stated_km2
            ));
        }
        errors
    }

    /// What an operator should know of a file that may be installed.
    pub fn warnings(&self) -> Vec<String> {
        let gaps = self.gaps_km2.iter().filter(|&&km2| km2 >= GAP_MIN_KM2);
        let gaps = gaps.map(|km2| format!("a gap of {km2:.2} km² between units"));
        let areas = self.areas.iter().filter(|unit| unit.deviation.abs() > DEVIATION_NAMED);
        let areas = areas.map(|unit| {
            format!(
                "{} ({}) measures {:.2} km², {:.2} km² are stated ({:+.0} %)",
                unit.name,
                unit.code,
                unit.measured_km2,
                unit.stated_km2,
                unit.deviation * 100.0
            )
        });
        gaps.chain(areas).collect()
    }
}

fn listed(codes: &[UnitCode]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<&str> = codes.iter().take(SHOWN).map(UnitCode::as_str).collect();
    let more = if codes.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn check_codes(features: &[Boundary], units: &[Unit], report: &mut Report) {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for feature in features {
        if !seen.insert(&feature.code) {
            twice.insert(feature.code.clone());
        }
    }
    let wanted: BTreeSet<&UnitCode> = units.iter().map(|unit| &unit.code).collect();
    report.missing = wanted.difference(&seen).map(|&code| code.clone()).collect();
    report.unknown = seen.difference(&wanted).map(|&code| code.clone()).collect();
    report.duplicate = twice.into_iter().collect();
}

fn check_validity(features: &[Boundary], report: &mut Report) {
    for feature in features {
        let reason = match self_contact(&feature.geometry) {
            Contact::Crosses(at) => {
                format!("its border crosses itself at {:.5},{:.5}", at.lat(), at.lon())
            }
            Contact::None | Contact::Touches => match misplaced(&feature.geometry) {
                Some(reason) => reason.to_owned(),
                None if area_m2(&feature.geometry) > 0.0 => continue,
                None => "it encloses no area".to_owned(),
            },
        };
        report.invalid.push(Invalid { code: feature.code.clone(), reason });
    }
}

/// What lies where it must not, of a geometry whose rings do not cross (RFC 7946, 3.1.6; OGC Simple
/// Features, 6.1.11): then one corner says where a whole ring lies.
fn misplaced(geometry: &MultiPolygon) -> Option<&'static str> {
    for polygon in geometry {
        let shell = Polygon::new(polygon.exterior().clone(), Vec::new());
        let corners = polygon.interiors().iter().flat_map(|hole| hole.coords());
        if corners.into_iter().any(|at| shell.coordinate_position(at) == CoordPos::Outside) {
            return Some("a hole of it lies outside of it");
        }
    }
    let boxes: Vec<Option<Rect>> = geometry.iter().map(|one| one.bounding_rect()).collect();
    for (one, of_one) in geometry.iter().zip(&boxes) {
        for (other, of_other) in geometry.iter().zip(&boxes) {
            let (Some(of_one), Some(of_other)) = (of_one, of_other) else { continue };
            if std::ptr::eq(one, other) || !of_one.intersects(of_other) {
                continue;
            }
            let mut corners = one.exterior().coords();
            if corners.any(|at| other.coordinate_position(at) == CoordPos::Inside) {
                return Some("one part of it lies in another");
            }
        }
    }
    None
}

fn check_areas(features: &[Boundary], units: &[Unit], report: &mut Report) {
    let invalid: BTreeSet<&UnitCode> = report.invalid.iter().map(|one| &one.code).collect();
    let valid = features.iter().filter(|feature| !invalid.contains(&feature.code));
    let measured: BTreeMap<&UnitCode, f64> =
        valid.map(|feature| (&feature.code, area_m2(&feature.geometry) / 1e6)).collect();
    for unit in units {
        report.stated_km2 += unit.area_km2;
        let Some(&measured_km2) = measured.get(&unit.code) else { continue };
        report.measured_km2 += measured_km2;
        report.areas.push(UnitArea {
            code: unit.code.clone(),
            name: unit.name.clone(),
            stated_km2: unit.area_km2,
            measured_km2,
            deviation: measured_km2 / unit.area_km2 - 1.0,
        });
    }
    report.areas.sort_by(|a, b| b.deviation.abs().total_cmp(&a.deviation.abs()));
}

fn check_topology(features: &[Boundary], units: &[Unit], report: &mut Report) {
    let names: BTreeMap<&UnitCode, &str> =
        units.iter().map(|unit| (&unit.code, unit.name.as_str())).collect();
    let name = |code: &UnitCode| names.get(code).copied().unwrap_or("?").to_owned();
    let boxes: Vec<Option<Rect>> =
        features.iter().map(|feature| feature.geometry.bounding_rect()).collect();
    let mut contested = Vec::new();
    for (index, a) in features.iter().enumerate() {
        for (offset, b) in features[index + 1..].iter().enumerate() {
            let (Some(a_box), Some(b_box)) = (boxes[index], boxes[index + 1 + offset]) else {
                continue;
            };
            if !a_box.intersects(&b_box) {
                continue;
            }
            let common = to_box(&a.geometry, grown(b_box, 0.01));
            let shared = common.intersection(&to_box(&b.geometry, grown(a_box, 0.01)));
            let km2 = area_m2(&shared) / 1e6;
            contested.push(shared);
            if km2 > OVERLAP_MAX_KM2 {
                let side = |feature: &Boundary| (feature.code.clone(), name(&feature.code));
                report.overlaps.push(Overlap { units: [side(a), side(b)], km2 });
            }
        }
    }
    report.overlap_km2 = area_m2(&unary_union(&contested)) / 1e6;
    report.overlaps.sort_by(|a, b| b.km2.total_cmp(&a.km2));
    let all: Vec<&MultiPolygon> = features.iter().map(|feature| &feature.geometry).collect();
    let holes = unary_union(all).into_iter().flat_map(|polygon| polygon.into_inner().1);
    let km2 = |hole| area_m2(&MultiPolygon::new(vec![Polygon::new(hole, Vec::new())])) / 1e6;
    report.gaps_km2 = holes.map(km2).collect();
    report.gaps_km2.sort_by(|a, b| b.total_cmp(a));
}
