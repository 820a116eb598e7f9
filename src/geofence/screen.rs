//! The units' shapes for screens: every point snapped to one grid, so that neighbours, which share
//! the points of their border, still share it afterwards and nothing tears.

use std::fmt::Write;

use geo::{LineString, MultiPolygon, Polygon};

use crate::geofence::City;

/// Steps of the grid that are tried, in units of 0.0001 degrees (11 m): the finest that fits.
const STEPS: [i64; 5] = [1, 2, 4, 8, 16];
/// Points of all shapes together that a browser draws without a thought.
const POINTS_MAX: usize = 30_000;
/// Steps of the finest grid in one degree.
const PER_DEGREE: f64 = 10_000.0;

type Ring = Vec<(i64, i64)>;
type Shape = Vec<Vec<Ring>>;

/// Every unit's shape as a GeoJSON FeatureCollection with the properties `code` and `name`.
pub fn geojson(city: &City) -> String {
    let shapes = STEPS.iter().map(|step| snapped(city, *step));
    let points =
        |shapes: &Vec<Shape>| -> usize { shapes.iter().flatten().flatten().map(Vec::len).sum() };
    let mut coarsest = Vec::new();
    for shapes in shapes {
        coarsest = shapes;
        if points(&coarsest) <= POINTS_MAX {
            break;
        }
    }
    write(city, &coarsest)
}

fn snapped(city: &City, step: i64) -> Vec<Shape> {
    let units = city.units().iter();
    units.map(|unit| city.geometry(&unit.code).map_or(Vec::new(), |of| shape(of, step))).collect()
}

/// A unit on a grid. What is smaller than a step vanishes, unless nothing else would be left.
fn shape(geometry: &MultiPolygon, step: i64) -> Shape {
    let polygon = |polygon: &Polygon, step: i64| -> Vec<Ring> {
        let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
        let rings: Vec<Ring> = rings.map(|one| ring(one, step)).collect();
        if rings[0].is_empty() {
            return Vec::new();
        }
        rings.into_iter().filter(|ring| !ring.is_empty()).collect()
    };
    let on = |step: i64| -> Shape {
        let shapes = geometry.iter().map(|one| polygon(one, step));
        shapes.filter(|rings| !rings.is_empty()).collect()
    };
    let coarse = on(step);
    if coarse.is_empty() { on(1) } else { coarse }
}

/// A closed ring on a grid without repeated points and without those on a straight line between
/// their neighbours, which change nothing; empty if no area is left.
fn ring(line: &LineString, step: i64) -> Ring {
    let snap = |degrees: f64| (degrees * PER_DEGREE / step as f64).round() as i64 * step;
    let mut points: Ring = Vec::with_capacity(line.0.len());
    for coord in &line.0 {
        let point = (snap(coord.x), snap(coord.y));
        if points.last() != Some(&point) {
            points.push(point);
        }
        while let [.., a, b, c] = points[..]
            && straight(a, b, c)
        {
            let last = points.len();
            points.remove(last - 2);
            if points[last - 3] == c {
                points.pop();
            }
        }
    }
    if points.len() < 4 { Vec::new() } else { points }
}

fn straight(a: (i64, i64), b: (i64, i64), c: (i64, i64)) -> bool {
    (b.0 - a.0) * (c.1 - a.1) == (b.1 - a.1) * (c.0 - a.0)
}

fn write(city: &City, shapes: &[Shape]) -> String {
    let mut out = String::from(r#"{"type":"FeatureCollection","features":["#);
    for (index, (unit, shape)) in city.units().iter().zip(shapes).enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let code = serde_json::json!(unit.code);
        let name = serde_json::json!(unit.name);
        let _ = write!(
            out,
            "{comma}{{\"type\":\"Feature\",\"properties\":{{\"code\":{code},\"name\":{name}}},\
             \"geometry\":{{\"type\":\"MultiPolygon\",\"coordinates\":"
        );
        nested(&mut out, shape, |out, polygon| {
            nested(out, polygon, |out, ring| {
                nested(out, ring, |out, (x, y)| {
                    let (x, y) = (*x as f64 / PER_DEGREE, *y as f64 / PER_DEGREE);
                    let _ = write!(out, "[{x},{y}]");
                });
            });
        });
        out.push_str("}}");
    }
    out.push_str("]}");
    out
}

fn nested<T>(out: &mut String, items: &[T], each: impl Fn(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        each(out, item);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geofence::BUILTIN_CITY;

    fn line(points: &[(f64, f64)]) -> LineString {
        points.to_vec().into()
    }

    #[test]
    fn a_ring_loses_only_what_changes_nothing() {
        let square = [(0.0, 0.0), (0.0, 0.5), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)];
        let on_grid = ring(&line(&square), 1);
        assert_eq!(on_grid.len(), 5, "{on_grid:?}");
        assert_eq!(on_grid.first(), on_grid.last());
        let speck = [(0.0, 0.0), (0.00001, 0.0), (0.00001, 0.00001), (0.0, 0.0)];
        assert_eq!(ring(&line(&speck), 1), []);
        let spike = [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)];
        assert!(ring(&line(&spike), 1).len() >= 4);
    }

    #[test]
    fn neighbours_keep_the_border_they_share() {
        let shared = [(1.00004, 0.00003), (1.00021, 0.33334), (0.99987, 1.00006)];
        let west = [(0.0, 0.0), shared[0], shared[1], shared[2], (0.0, 1.0), (0.0, 0.0)];
        let east = [(2.0, 0.0), (2.0, 1.0), shared[2], shared[1], shared[0], (2.0, 0.0)];
        let (west, east) = (ring(&line(&west), 2), ring(&line(&east), 2));
        let border: Vec<_> = west[1..4].iter().rev().collect();
        assert_eq!(east[2..5].iter().collect::<Vec<_>>(), border);
    }

    #[test]
    fn every_unit_of_the_built_in_city_has_a_shape_and_the_whole_stays_small() {
        let city = City::builtin(BUILTIN_CITY).expect("the built-in city");
        let text = geojson(&city);
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let features = document["features"].as_array().expect("features");
        assert_eq!(features.len(), city.units().len());
        for feature in features {
            let polygons = feature["geometry"]["coordinates"].as_array().expect("polygons");
            assert!(!polygons.is_empty(), "{}", feature["properties"]["code"]);
        }
        assert!(text.len() < 1_500_000, "{}", text.len());
    }
}
