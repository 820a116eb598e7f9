//! From a target to units, shares, clipped parts and cells.
//!
//! A unit whose box no edge of the target enters is wholly in or wholly out, which one point
//! tells; only for units the target's border passes is the shared ground measured, from the two
//! borders ([`border`](crate::geofence::border)). No geometry is cut but where borders touch. So
//! the cost is that of the target's border.

use std::collections::BTreeMap;

use geo::{BooleanOps, MultiPolygon, Rect, unary_union};
use geo::{BoundingRect, Coord, Distance, Euclidean, Intersects, MapCoords};

use crate::domain::audience::{AreaAudience, AudienceUnit, Coverage};
use crate::domain::cell::Cell;
use crate::domain::ids::UnitCode;
use crate::geofence::border::Border;
use crate::geofence::cells::Raster;
use crate::geofence::city::{Prepared, envelope};
use crate::geofence::clip::{grown, to_box};
use crate::geofence::shape::{Near, area_m2, metres_per_degree, of_circle, of_ring, width_m};
use crate::geofence::target::{Outline, TargetCode, TargetShape};
use crate::geofence::{City, Error, Extent, Match, MatchSettings, MatchedUnit, Target};

/// The box that circles must be true in: wider than any reach beyond the city.
const CITY_MARGIN: f64 = 0.2;
/// What is kept around a unit's box when a target is cut to it.
const BOX_MARGIN: f64 = 0.01;

/// A target's polygon or circle, prepared.
struct Shape {
    area: MultiPolygon,
    border: Border,
}

/// What of each unit is inside.
struct Found {
    /// By unit.
    whole: Vec<bool>,
    /// The shapes that cover a part of a unit, each with its square metres there.
    parts: BTreeMap<usize, Vec<(usize, f64)>>,
    near: BTreeMap<usize, f64>,
    notes: Vec<String>,
    shapes: Vec<Shape>,
}

impl City {
    /// Resolves a target. One that touches no unit resolves to no units, which is not an error
    /// here: whether nobody may be meant is the caller's rule.
    pub fn match_target(&self, target: &Target, settings: &MatchSettings) -> Result<Match, Error> {
        within_limits(target, settings)?;
        let mut found = Found {
            whole: vec![false; self.units().len()],
            parts: BTreeMap::new(),
            near: BTreeMap::new(),
            notes: Vec::new(),
            shapes: Vec::new(),
        };
        for code in &target.codes {
            self.resolve(code)?.into_iter().for_each(|index| found.whole[index] = true);
        }
        for shape in &target.shapes {
            match self.near(shape, &mut found.notes)? {
                Near::Everything => found.whole.fill(true),
                Near::Nothing => {}
                Near::Area(area) => self.add_shape(area, settings, &mut found),
            }
        }
        Ok(self.conclude(found, settings))
    }

    /// The part of a unit inside a target's shapes as a geometry, longitude first; slower than a
    /// match, which needs none.
    pub fn clipped(&self, target: &Target, code: &UnitCode) -> Result<MultiPolygon, Error> {
        let Some(index) = self.index_of(code) else { return Ok(MultiPolygon::new(Vec::new())) };
        let unit = &self.prepared[index];
        let mut parts = Vec::new();
        for shape in &target.shapes {
            match self.near(shape, &mut Vec::new())? {
                Near::Everything => return Ok(unit.geometry.clone()),
                Near::Nothing => {}
                Near::Area(area) => parts.push(unit.clip(&area)),
            }
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { unary_union(&parts) })
    }

    /// What a shape is near the city.
    fn near(&self, shape: &TargetShape, notes: &mut Vec<String>) -> Result<Near, Error> {
        let invalid = |reason| Error::invalid(&shape.field, reason);
        match &shape.outline {
            Outline::Circle(circle) => {
                of_circle(circle, grown(self.bounds(), CITY_MARGIN)).map_err(invalid)
            }
            Outline::Polygon(ring) => {
                let (area, crossing) = of_ring(ring).map_err(invalid)?;
                notes.extend(crossing.map(|at| {
                    format!(
                        "{}: the polygon crosses itself at {:.5},{:.5}; all it winds around \
                         was taken",
                        shape.field,
                        at.lat(),
                        at.lon()
                    )
                }));
                Ok(Near::Area(area))
            }
        }
    }

    /// The present units a code means.
    fn resolve(&self, given: &TargetCode) -> Result<Vec<usize>, Error> {
        let TargetCode { field, code, vintage } = given;
        let vintage = vintage.as_ref().unwrap_or(self.vintage());
        let unknown = || Error::UnknownUnit {
            field: field.clone(),
            code: code.clone(),
            vintage: vintage.clone(),
        };
        if vintage == self.vintage() {
            return self.index_of(code).map(|index| vec![index]).ok_or_else(unknown);
        }
        let Some(old) = self.crosswalk().of(vintage) else {
            let known = self.crosswalk().vintages().chain([self.vintage()]);
            let known: Vec<&str> = known.map(|vintage| vintage.as_str()).collect();
            return Err(Error::UnknownVintage {
                field: field.clone(),
                vintage: vintage.to_string(),
                known: known.join(", "),
            });
        };
        let became = &old.get(code).ok_or_else(unknown)?.became;
        Ok(became.iter().filter_map(|code| self.index_of(code)).collect())
    }

    /// Adds what a shape covers; a shape that covers nothing goes to the nearest unit in reach.
    fn add_shape(&self, area: MultiPolygon, settings: &MatchSettings, found: &mut Found) {
        let Some(border) = Border::of(&area) else { return };
        let shape = Shape { area, border };
        let number = found.shapes.len();
        let mut hit = false;
        for leaf in self.index.locate_in_envelope_intersecting(&envelope(shape.border.bounds())) {
            let unit = &self.prepared[leaf.data];
            if !shape.border.enters(unit.bounds) {
                if shape.border.contains(unit.border.corner()) {
                    found.whole[leaf.data] = true;
                    hit = true;
                }
            } else if let Some(m2) = shape.part_of(unit, settings) {
                found.parts.entry(leaf.data).or_default().push((number, m2));
                hit = true;
            }
        }
        if !hit && let Some((index, distance_m)) = self.nearest(&shape.area, settings.nearest_m) {
            found.near.insert(index, distance_m);
        }
        found.shapes.push(shape);
    }

    /// The unit nearest to an area that touches none, within a reach in metres.
    fn nearest(&self, area: &MultiPolygon, reach_m: f64) -> Option<(usize, f64)> {
        let bounds = area.bounding_rect()?;
        let (lon_m, lat_m) = metres_per_degree(bounds.center().y);
        let reach = Coord { x: reach_m / lon_m, y: reach_m / lat_m };
        let around = Rect::new(bounds.min() - reach, bounds.max() + reach);
        let metres =
            |area: &MultiPolygon| area.map_coords(|at| Coord { x: at.x * lon_m, y: at.y * lat_m });
        let flat = metres(&to_box(area, grown(self.bounds(), CITY_MARGIN)));
        self.index
            .locate_in_envelope_intersecting(&envelope(around))
            .map(|leaf| {
                let unit = metres(&self.prepared[leaf.data].geometry);
                (leaf.data, Euclidean.distance(&flat, &unit))
            })
            .filter(|&(_, distance_m)| distance_m <= reach_m)
            .min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)))
    }

    fn conclude(&self, mut found: Found, settings: &MatchSettings) -> Match {
        let mut units: BTreeMap<usize, (f64, Extent)> = found
            .near
            .iter()
            .map(|(&index, &distance_m)| (index, (0.0, Extent::Near { distance_m })))
            .collect();
        for (index, parts) in std::mem::take(&mut found.parts) {
            if found.whole[index] {
                continue;
            }
            let unit = &self.prepared[index];
            let share = (unit.joined_m2(&parts, &found.shapes) / unit.area_m2).min(1.0);
            let whole = share >= settings.whole_share;
            found.whole[index] = whole;
            units.insert(index, (share, if whole { Extent::Whole } else { Extent::Part }));
        }
        for (index, _) in found.whole.iter().enumerate().filter(|(_, whole)| **whole) {
            // What was only near is whole by another shape.
            units
                .entry(index)
                .and_modify(|(share, extent)| {
                    *share = if *extent == Extent::Whole { *share } else { 1.0 };
                    *extent = Extent::Whole;
                })
                .or_insert((1.0, Extent::Whole));
        }
        let audience = self.audience(&units, &found);
        let matched = |(index, (share, extent)): (usize, (f64, Extent))| {
            let unit = &self.units()[index];
            MatchedUnit { code: unit.code.clone(), name: unit.name.clone(), share, extent }
        };
        Match {
            boundaries: self.boundaries(),
            vintage: self.vintage().clone(),
            units: units.into_iter().map(matched).collect(),
            notes: found.notes,
            audience,
        }
    }

    fn audience(&self, units: &BTreeMap<usize, (f64, Extent)>, found: &Found) -> AreaAudience {
        let cells = self.touched_cells(found);
        let mut audience = Vec::with_capacity(units.len());
        for (index, mut own) in cells.into_iter().enumerate() {
            own.sort_unstable();
            own.dedup();
            let (share, coverage) = match units.get(&index) {
                Some((share, Extent::Whole)) => (*share, Coverage::Whole),
                Some((share, Extent::Part | Extent::Near { .. })) => {
                    (*share, Coverage::Part { cells: own })
                }
                None if own.is_empty() => continue,
                None => (0.0, Coverage::Cells { cells: own }),
            };
            audience.push(AudienceUnit { code: self.units()[index].code.clone(), share, coverage });
        }
        audience.sort_unstable_by(|one, other| one.code.cmp(&other.code));
        AreaAudience {
            boundaries: self.boundaries(),
            vintage: self.vintage().clone(),
            units: audience,
        }
    }

    /// The cells the shapes touch, and those that stick into whole units, by the cells' homes;
    /// homes that are whole need none.
    fn touched_cells(&self, found: &Found) -> Vec<Vec<Cell>> {
        let mut touched = vec![Vec::new(); self.prepared.len()];
        for shape in &found.shapes {
            let raster = Raster::of(&shape.area, grown(self.bounds(), CITY_MARGIN));
            for (index, unit) in self.prepared.iter().enumerate() {
                if !found.whole[index] && unit.home_bounds.intersects(&shape.border.bounds()) {
                    let cells = unit.home_cells.iter().copied();
                    touched[index].extend(cells.filter(|&cell| raster.touches(cell)));
                }
            }
        }
        for (unit, _) in self.prepared.iter().zip(&found.whole).filter(|(_, whole)| **whole) {
            for &(cell, home) in unit.foreign_cells.iter().filter(|(_, home)| !found.whole[*home]) {
                touched[home].push(cell);
            }
        }
        touched
    }
}

impl Shape {
    /// Square metres of a unit that are inside; None when it is nothing or a sliver.
    fn part_of(&self, unit: &Prepared, settings: &MatchSettings) -> Option<f64> {
        let shared = self.border.shared_m2(&unit.border);
        if let Some(m2) = shared.filter(|m2| *m2 >= settings.sliver_share * unit.area_m2) {
            return (m2 > 0.0).then_some(m2);
        }
        if shared.is_some_and(|m2| m2 <= 0.0) {
            return None;
        }
        let part = unit.clip(&self.area);
        let m2 = area_m2(&part);
        let sliver = m2 < settings.sliver_share * unit.area_m2
            && width_m(&part, m2) < settings.sliver_width_m;
        (m2 > 0.0 && !sliver).then_some(m2)
    }
}

impl Prepared {
    /// The part inside an area.
    fn clip(&self, area: &MultiPolygon) -> MultiPolygon {
        let beside = to_box(area, grown(self.bounds, BOX_MARGIN));
        if beside.0.is_empty() { beside } else { self.geometry.intersection(&beside) }
    }

    /// Square metres that several shapes cover together.
    fn joined_m2(&self, parts: &[(usize, f64)], shapes: &[Shape]) -> f64 {
        let bounds = |part: &(usize, f64)| shapes[part.0].border.bounds();
        let overlap = parts.iter().enumerate().any(|(number, part)| {
            parts[..number].iter().any(|other| bounds(other).intersects(&bounds(part)))
        });
        if !overlap {
            return parts.iter().map(|(_, m2)| m2).sum();
        }
        let parts: Vec<_> =
            parts.iter().map(|(shape, _)| self.clip(&shapes[*shape].area)).collect();
        area_m2(&unary_union(&parts))
    }
}

fn within_limits(target: &Target, settings: &MatchSettings) -> Result<(), Error> {
    let limits = [
        ("codes", "unit codes", target.codes.len(), settings.codes_max),
        ("shapes", "polygons and circles", target.shapes.len(), settings.shapes_max),
        ("polygons", "points", target.points(), settings.points_max),
    ];
    match limits.into_iter().find(|&(_, _, count, limit)| count > limit) {
        Some((field, what, count, limit)) => Err(Error::TooMany { field, what, count, limit }),
        None => Ok(()),
    }
}
