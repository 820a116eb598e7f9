//! From a target to units, shares, clipped parts and cells.
//!
//! A unit whose box no edge of the target enters is wholly in or wholly out, which one point
//! tells; only units the target's border passes are clipped, against the part of the target within
//! their box. So the cost is that of the border.

use std::collections::{BTreeMap, BTreeSet};

use geo::{BooleanOps, MultiPolygon, Polygon, Rect, unary_union};
use geo::{BoundingRect, Coord, Distance, Euclidean, Intersects, Line, LinesIter, MapCoords};
use rstar::{AABB, RTree};

use crate::domain::audience::{AreaAudience, AudienceUnit, Coverage};
use crate::domain::cell::Cell;
use crate::domain::ids::UnitCode;
use crate::geofence::cells::Raster;
use crate::geofence::city::{Prepared, envelope};
use crate::geofence::clip::{grown, to_box};
use crate::geofence::shape::{Near, area_m2, metres_per_degree, of_circle, of_ring, width_m};
use crate::geofence::slabs::Slabs;
use crate::geofence::target::{Outline, TargetCode};
use crate::geofence::{City, Error, Extent, Match, MatchSettings, MatchedUnit, Target};

/// The box that circles must be true in: wider than any reach beyond the city.
const CITY_MARGIN: f64 = 0.2;
/// What is kept around a unit's box when a target is cut to it.
const BOX_MARGIN: f64 = 0.01;

/// A target's polygon or circle, prepared.
struct Shape {
    area: MultiPolygon,
    slabs: Slabs,
    edges: RTree<Line>,
}

/// What of each unit is inside.
#[derive(Default)]
struct Found {
    whole: BTreeSet<usize>,
    parts: BTreeMap<usize, Vec<MultiPolygon>>,
    near: BTreeMap<usize, f64>,
    notes: Vec<String>,
    shapes: Vec<Shape>,
}

impl City {
    /// Resolves a target. One that touches no unit resolves to no units, which is not an error
    /// here: whether nobody may be meant is the caller's rule.
    pub fn match_target(&self, target: &Target, settings: &MatchSettings) -> Result<Match, Error> {
        within_limits(target, settings)?;
        let mut found = Found::default();
        for code in &target.codes {
            found.whole.extend(self.resolve(code)?);
        }
        for shape in &target.shapes {
            let area = match &shape.outline {
                Outline::Polygon(ring) => {
                    let (area, crossing) =
                        of_ring(ring).map_err(|reason| Error::invalid(&shape.field, reason))?;
                    found.notes.extend(crossing.map(|at| {
                        format!(
                            "{}: the polygon crosses itself at {:.5},{:.5}; all it winds around \
                             was taken",
                            shape.field,
                            at.lat(),
                            at.lon()
                        )
                    }));
                    Near::Area(area)
                }
                Outline::Circle(circle) => of_circle(circle, grown(self.bounds(), CITY_MARGIN))
                    .map_err(|reason| Error::invalid(&shape.field, reason))?,
            };
            match area {
                Near::Everything => found.whole.extend(0..self.units().len()),
                Near::Nothing => {}
                Near::Area(area) => self.add_shape(area, settings, &mut found),
            }
        }
        Ok(self.conclude(found, settings))
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
        let Some(slabs) = Slabs::of(&area) else { return };
        let edges = RTree::bulk_load(area.lines_iter().collect());
        let shape = Shape { area, slabs, edges };
        let mut hit = false;
        for leaf in self.index.locate_in_envelope_intersecting(&envelope(shape.slabs.bounds())) {
            let unit = &self.prepared[leaf.data];
            if !shape.border_enters(unit.bounds) {
                if shape.slabs.contains(corner(&unit.geometry)) {
                    found.whole.insert(leaf.data);
                    hit = true;
                }
            } else if let Some(part) = shape.part_of(unit, settings) {
                found.parts.entry(leaf.data).or_default().push(part);
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
        for (index, mut parts) in std::mem::take(&mut found.parts) {
            if found.whole.contains(&index) {
                continue;
            }
            let part = if parts.len() == 1 { parts.remove(0) } else { unary_union(&parts) };
            let share = (area_m2(&part) / self.prepared[index].area_m2).min(1.0);
            let whole = share >= settings.whole_share;
            found.whole.extend(whole.then_some(index));
            units.insert(index, (share, if whole { Extent::Whole } else { Extent::Part(part) }));
        }
        for &index in &found.whole {
            units
                .entry(index)
                .and_modify(|unit| unit.1 = Extent::Whole)
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
        let mut cells = self.touched_cells(found);
        for &index in &found.whole {
            for &(cell, home) in &self.prepared[index].foreign_cells {
                cells.entry(home).or_default().insert(cell);
            }
        }
        let mut audience: BTreeMap<UnitCode, AudienceUnit> = BTreeMap::new();
        let mut add = |index: usize, share: f64, coverage: Coverage| {
            let code = self.units()[index].code.clone();
            audience.insert(code.clone(), AudienceUnit { code, share, coverage });
        };
        for (&index, (share, extent)) in units {
            let own = cells.remove(&index).unwrap_or_default();
            let coverage = match extent {
                Extent::Whole => Coverage::Whole,
                Extent::Part(_) | Extent::Near { .. } => {
                    Coverage::Part { cells: own.into_iter().collect() }
                }
            };
            add(index, *share, coverage);
        }
        for (index, own) in cells {
            add(index, 0.0, Coverage::Cells { cells: own.into_iter().collect() });
        }
        AreaAudience {
            boundaries: self.boundaries(),
            vintage: self.vintage().clone(),
            units: audience.into_values().collect(),
        }
    }

    /// The cells the shapes touch, by the cells' homes; whole units need none.
    fn touched_cells(&self, found: &Found) -> BTreeMap<usize, BTreeSet<Cell>> {
        let mut touched: BTreeMap<usize, BTreeSet<Cell>> = BTreeMap::new();
        for shape in &found.shapes {
            let raster = Raster::of(&shape.area, grown(self.bounds(), CITY_MARGIN));
            for (index, unit) in self.prepared.iter().enumerate() {
                if found.whole.contains(&index)
                    || !unit.home_bounds.intersects(&shape.slabs.bounds())
                {
                    continue;
                }
                let cells = unit.home_cells.iter().copied().filter(|&cell| raster.touches(cell));
                let cells: BTreeSet<Cell> = cells.collect();
                if !cells.is_empty() {
                    touched.entry(index).or_default().extend(cells);
                }
            }
        }
        touched
    }
}

impl Shape {
    /// Whether any edge passes through a box.
    fn border_enters(&self, bounds: Rect) -> bool {
        let envelope = AABB::from_corners(bounds.min().into(), bounds.max().into());
        self.edges.locate_in_envelope_intersecting(&envelope).any(|edge| edge.intersects(&bounds))
    }

    /// What of a unit is inside; None when it is nothing or a sliver.
    fn part_of(&self, unit: &Prepared, settings: &MatchSettings) -> Option<MultiPolygon> {
        let beside = to_box(&self.area, grown(unit.bounds, BOX_MARGIN));
        if beside.0.is_empty() {
            return None;
        }
        let part = unit.geometry.intersection(&beside);
        let area = area_m2(&part);
        let sliver = area < settings.sliver_share * unit.area_m2
            && width_m(&part, area) < settings.sliver_width_m;
        (area > 0.0 && !sliver).then_some(part)
    }
}

/// Any point of an area that is not empty.
fn corner(area: &MultiPolygon) -> Coord {
    let first: Option<&Polygon> = area.0.first();
    first.and_then(|polygon| polygon.exterior().0.first()).copied().unwrap_or_default()
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
