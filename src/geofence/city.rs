//! A city: its units with prepared boundaries, found by code, by name, by point and by cell.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use geo::{BoundingRect, Coord, LinesIter, MultiPolygon, Rect};
use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{AABB, RTree};

use crate::domain::audience::Boundaries;
use crate::domain::cell::Cell;
use crate::domain::geo::LatLon;
use crate::domain::ids::{UnitCode, Vintage};
use crate::geofence::border::Border;
use crate::geofence::boundaries::{self, Boundary};
use crate::geofence::cells::Raster;
use crate::geofence::shape::{area_m2, coord, metres_per_degree, point};
use crate::geofence::unit::{Unit, fold};
use crate::geofence::{Crosswalk, Error, import, present_vintage};

/// The city that is built in.
pub const BUILTIN_CITY: &str = "hcmc";
/// A point or a cell's middle this close to a unit is at home there: more than half the diagonal
/// of a cell (0.67 km), so that every cell with land in it has a home. Fixed, not a setting:
/// devices and routers must find the same home on every node.
pub const HOME_REACH_M: f64 = 1_000.0;
/// Rows and columns of cells that reach covers beyond the cells a unit touches.
const REACH_ROWS: i64 = 2;
const REACH_COLUMNS: i64 = 1;

const UNITS_CSV: &str = include_str!("../../geofences/hcmc/units.csv");
const CROSSWALK_CSV: &str = include_str!("../../geofences/hcmc/crosswalk.csv");
const APPROXIMATE: &str = include_str!("../../geofences/hcmc/approximate.geojson");

type Leaf = GeomWithData<Rectangle<[f64; 2]>, usize>;

/// A unit's boundary, prepared.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) geometry: MultiPolygon,
    pub(crate) bounds: Rect,
    pub(crate) area_m2: f64,
    pub(crate) border: Border,
    /// Cells whose home is this unit, sorted.
    pub(crate) home_cells: Vec<Cell>,
    /// The box of the home cells.
    pub(crate) home_bounds: Rect,
    /// Cells this unit touches whose home is another unit.
    pub(crate) foreign_cells: Vec<(Cell, usize)>,
}

/// A unit that holds, or is nearest to, a point.
#[derive(Clone, Copy, Debug)]
pub struct Located<'a> {
    /// The unit.
    pub unit: &'a Unit,
    /// Metres to it; 0 inside.
    pub distance_m: f64,
}

/// The units of a city (or of any province) and everything to find them by.
#[derive(Debug)]
pub struct City {
    boundaries: Boundaries,
    vintage: Vintage,
    units: Vec<Unit>,
    pub(crate) prepared: Vec<Prepared>,
    by_code: HashMap<UnitCode, usize>,
    pub(crate) index: RTree<Leaf>,
    homes: HashMap<Cell, usize>,
    crosswalk: Crosswalk,
    bounds: Rect,
}

impl City {
    /// A built-in city with approximate boundaries. `hcmc` is the only one.
    pub fn builtin(name: &str) -> Result<Self, Error> {
        let units = builtin_units(name)?;
        Self::build(Boundaries::Approximate, units, boundaries::read(APPROXIMATE)?)
    }

    /// What is imported in a data directory, otherwise the built-in city.
    pub fn load(data_dir: &Path) -> Result<Self, Error> {
        match import::installed(data_dir)? {
            Some(text) => Self::from_geojson(&text),
            None => Self::builtin(BUILTIN_CITY),
        }
    }

    /// A city from true boundaries. Units known to the built-in list keep its names and areas;
    /// anywhere else the file itself says what its units are.
    pub fn from_geojson(text: &str) -> Result<Self, Error> {
        let features = boundaries::read(text)?;
        let units = units_of(&features)?;
        Self::build(Boundaries::Imported, units, features)
    }

    fn build(
        boundaries: Boundaries,
        units: Vec<Unit>,
        features: Vec<Boundary>,
    ) -> Result<Self, Error> {
        let by_code: HashMap<UnitCode, usize> =
            units.iter().enumerate().map(|(index, unit)| (unit.code.clone(), index)).collect();
        let mut geometry: BTreeMap<usize, MultiPolygon> = BTreeMap::new();
        for feature in features {
            if let Some(&index) = by_code.get(&feature.code) {
                geometry.insert(index, feature.geometry);
            }
        }
        let prepared = units
            .iter()
            .enumerate()
            .map(|(index, unit)| {
                let prepared = geometry.remove(&index).and_then(Prepared::of);
                let missing = || Error::Boundaries(format!("unit {} has no boundary", unit.code));
                prepared.ok_or_else(missing)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let leaves = prepared.iter().enumerate().map(|(index, unit)| {
            GeomWithData::new(Rectangle::from_aabb(envelope(unit.bounds)), index)
        });
        let index = RTree::bulk_load(leaves.collect());
        let bounds = prepared
            .iter()
            .map(|unit| unit.bounds)
            .reduce(joined)
            .ok_or_else(|| Error::Boundaries("no unit".to_owned()))?;
        let known = by_code.contains_key(&builtin_units(BUILTIN_CITY)?[0].code);
        let crosswalk = if known { builtin_crosswalk()? } else { Crosswalk::default() };
        let vintage = present_vintage();
        let homes = HashMap::new();
        let mut city =
            Self { boundaries, vintage, units, prepared, by_code, index, homes, crosswalk, bounds };
        city.settle_cells();
        Ok(city)
    }

    /// Gives every cell in and around the units its home.
    fn settle_cells(&mut self) {
        let touched: Vec<Vec<Cell>> = self
            .prepared
            .iter()
            .map(|unit| Raster::of(&unit.geometry, unit.bounds).cells().collect())
            .collect();
        let around = touched.iter().flatten().flat_map(|cell| neighbourhood(*cell));
        let around: BTreeSet<Cell> = around.collect();
        self.homes = around
            .into_iter()
            .filter_map(|cell| Some((cell, self.find(coord(cell.centre()), HOME_REACH_M)?.0)))
            .collect();
        for (&cell, &home) in &self.homes {
            self.prepared[home].home_cells.push(cell);
        }
        for (index, cells) in touched.into_iter().enumerate() {
            let homes = &self.homes;
            let foreign = cells.into_iter().filter_map(|cell| Some((cell, *homes.get(&cell)?)));
            let foreign = foreign.filter(|&(_, home)| home != index).collect();
            let unit = &mut self.prepared[index];
            unit.foreign_cells = foreign;
            unit.home_cells.sort_unstable();
            let rects = unit.home_cells.iter().map(|&cell| cell_rect(cell));
            unit.home_bounds = rects.reduce(joined).unwrap_or(unit.bounds);
        }
    }

    /// How true the boundaries are.
    pub fn boundaries(&self) -> Boundaries {
        self.boundaries
    }

    /// The vintage of [`units`](Self::units).
    pub fn vintage(&self) -> &Vintage {
        &self.vintage
    }

    /// Every unit, sorted by code.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// A unit by its code in the present vintage.
    pub fn unit(&self, code: &UnitCode) -> Option<&Unit> {
        self.index_of(code).map(|index| &self.units[index])
    }

    /// What older codes became.
    pub fn crosswalk(&self) -> &Crosswalk {
        &self.crosswalk
    }

    /// A unit's boundary, longitude first, for maps.
    pub fn geometry(&self, code: &UnitCode) -> Option<&MultiPolygon> {
        self.index_of(code).map(|index| &self.prepared[index].geometry)
    }

    /// A unit's area inside its boundary, in square kilometres.
    pub fn measured_km2(&self, code: &UnitCode) -> Option<f64> {
        self.index_of(code).map(|index| self.prepared[index].area_m2 / 1e6)
    }

    /// Units whose name holds the text, accents and case apart; those that begin with it (after
    /// the kind) first. Then what became of old units of such a name.
    pub fn search(&self, text: &str) -> Vec<&Unit> {
        let wanted = fold(text);
        let mut found: Vec<&Unit> =
            self.units.iter().filter(|unit| unit.folded.contains(&wanted)).collect();
        found.sort_by_key(|unit| {
            let kind = fold(unit.kind.as_str());
            let own = unit.folded.strip_prefix(&kind).map_or(&*unit.folded, str::trim_start);
            (own != wanted, !own.starts_with(&wanted))
        });
        let old = self.crosswalk.vintages().filter_map(|vintage| self.crosswalk.of(vintage));
        let named = old.flat_map(BTreeMap::values).filter(|one| fold(&one.name).contains(&wanted));
        for code in named.flat_map(|one| &one.became) {
            let successor = self.unit(code).filter(|_| found.iter().all(|one| one.code != *code));
            found.extend(successor);
        }
        found
    }

    /// The unit that holds a point, or the nearest within [`HOME_REACH_M`].
    pub fn locate(&self, at: LatLon) -> Option<Located<'_>> {
        let (index, distance_m) = self.find(coord(at), HOME_REACH_M)?;
        Some(Located { unit: &self.units[index], distance_m })
    }

    /// The unit a cell belongs to: that of its middle, or the nearest within [`HOME_REACH_M`].
    pub fn home_of(&self, cell: Cell) -> Option<&UnitCode> {
        self.homes.get(&cell).map(|&index| &self.units[index].code)
    }

    /// The cells whose home a unit is, sorted.
    pub fn cells_of(&self, code: &UnitCode) -> &[Cell] {
        self.index_of(code).map_or(&[], |index| &self.prepared[index].home_cells)
    }

    /// South-west and north-east corners of the box around all units.
    pub fn corners(&self) -> (LatLon, LatLon) {
        (point(self.bounds.min()), point(self.bounds.max()))
    }

    pub(crate) fn bounds(&self) -> Rect {
        self.bounds
    }

    pub(crate) fn index_of(&self, code: &UnitCode) -> Option<usize> {
        self.by_code.get(code).copied()
    }

    /// The unit at a point or the nearest within a distance, and how far it is.
    fn find(&self, at: Coord, reach_m: f64) -> Option<(usize, f64)> {
        let at_point = self.index.locate_all_at_point(&[at.x, at.y]);
        let inside = at_point.map(|leaf| leaf.data);
        if let Some(index) = inside.filter(|&i| self.prepared[i].border.contains(at)).min() {
            return Some((index, 0.0));
        }
        let (lon_m, lat_m) = metres_per_degree(at.y);
        let (dx, dy) = (reach_m / lon_m, reach_m / lat_m);
        let around = AABB::from_corners([at.x - dx, at.y - dy], [at.x + dx, at.y + dy]);
        let near = self.index.locate_in_envelope_intersecting(&around);
        near.map(|leaf| (leaf.data, self.prepared[leaf.data].distance_m(at)))
            .filter(|&(_, distance_m)| distance_m <= reach_m)
            .min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)))
    }
}

impl Prepared {
    fn of(geometry: MultiPolygon) -> Option<Self> {
        let bounds = geometry.bounding_rect()?;
        let area_m2 = area_m2(&geometry);
        let border = Border::of(&geometry)?.checked(area_m2);
        Some(Self {
            area_m2,
            bounds,
            border,
            geometry,
            home_cells: Vec::new(),
            home_bounds: bounds,
            foreign_cells: Vec::new(),
        })
    }

    /// Metres from a point outside to the border, on the local plane.
    fn distance_m(&self, at: Coord) -> f64 {
        let (lon_m, lat_m) = metres_per_degree(at.y);
        let square = |line: geo::Line| {
            let (ax, ay) = ((line.start.x - at.x) * lon_m, (line.start.y - at.y) * lat_m);
            let (dx, dy) = (line.dx() * lon_m, line.dy() * lat_m);
            let length = dx * dx + dy * dy;
            let along = if length > 0.0 { -(ax * dx + ay * dy) / length } else { 0.0 };
            let along = along.clamp(0.0, 1.0);
            (ax + along * dx).powi(2) + (ay + along * dy).powi(2)
        };
        self.geometry.lines_iter().map(square).fold(f64::INFINITY, f64::min).sqrt()
    }
}

/// The units a built-in city has, sorted by code.
pub(crate) fn builtin_units(name: &str) -> Result<Vec<Unit>, Error> {
    if name != BUILTIN_CITY {
        return Err(Error::UnknownCity(name.to_owned()));
    }
    let lines = UNITS_CSV.lines().skip(1);
    lines.map(|line| Unit::from_csv(line).map_err(Error::Boundaries)).collect()
}

/// What the built-in city's older codes became.
fn builtin_crosswalk() -> Result<Crosswalk, Error> {
    Crosswalk::from_csv(CROSSWALK_CSV).map_err(Error::Boundaries)
}

/// The units a file of boundaries is about: the built-in city's when at least half of the file's
/// codes are in its list, otherwise those the file itself describes.
pub(crate) fn units_of(features: &[Boundary]) -> Result<Vec<Unit>, Error> {
    let builtin = builtin_units(BUILTIN_CITY)?;
    let codes: BTreeSet<&UnitCode> = builtin.iter().map(|unit| &unit.code).collect();
    let known = features.iter().filter(|feature| codes.contains(&feature.code)).count();
    if known > 0 && known * 2 >= features.len() {
        return Ok(builtin);
    }
    let mut units = BTreeMap::new();
    for feature in features {
        let unit = feature.unit().map_err(Error::Boundaries)?;
        units.entry(unit.code.clone()).or_insert(unit);
    }
    Ok(units.into_values().collect())
}

impl Boundary {
    /// The unit as the file's own properties describe it.
    fn unit(&self) -> Result<Unit, String> {
        let missing = |property: &str| format!("unit {} has no property `{property}`", self.code);
        let name = self.name.clone().ok_or_else(|| missing("name"))?;
        let kind = self.kind.as_deref().ok_or_else(|| missing("kind"))?;
        let area_km2 = self.area_km2.ok_or_else(|| missing("area_km2"))?;
        if area_km2 <= 0.0 {
            return Err(format!("unit {}: area_km2 must be more than 0", self.code));
        }
        let centre = geo::Centroid::centroid(&self.geometry).ok_or_else(|| missing("geometry"))?;
        Ok(Unit {
            code: self.code.clone(),
            kind: kind.parse().map_err(|error| format!("unit {}: {error}", self.code))?,
            area_km2,
            centre: point(centre.0),
            folded: fold(&name),
            name,
        })
    }
}

/// A box as the index of units knows it.
pub(crate) fn envelope(bounds: Rect) -> AABB<[f64; 2]> {
    AABB::from_corners(bounds.min().into(), bounds.max().into())
}

fn cell_rect(cell: Cell) -> Rect {
    let (sw, ne) = cell.corners();
    Rect::new(coord(sw), coord(ne))
}

/// The box around two boxes.
pub(crate) fn joined(a: Rect, b: Rect) -> Rect {
    let (low, high) = ((a.min(), b.min()), (a.max(), b.max()));
    Rect::new(
        Coord { x: low.0.x.min(low.1.x), y: low.0.y.min(low.1.y) },
        Coord { x: high.0.x.max(high.1.x), y: high.0.y.max(high.1.y) },
    )
}

fn neighbourhood(cell: Cell) -> impl Iterator<Item = Cell> {
    let (row, column) = cell.row_column();
    let near = |value: u32, by: i64| (i64::from(value) + by).clamp(0, 32_767) as u32;
    (-REACH_ROWS..=REACH_ROWS).flat_map(move |rows| {
        (-REACH_COLUMNS..=REACH_COLUMNS)
            .map(move |columns| Cell::at(near(row, rows), near(column, columns)))
    })
}
