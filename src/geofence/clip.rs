//! Cutting an area to a box before the exact and dearer operations.

use geo::{Coord, LineString, MultiPolygon, Polygon, Rect};

/// The area within a box, ring by ring (Sutherland–Hodgman). Rings may run along the box's border
/// there and back; that is harmless to even-odd operations with anything inside the box.
pub(crate) fn to_box(area: &MultiPolygon, bounds: Rect) -> MultiPolygon {
    let cut = |ring: &LineString| LineString::new(ring_to_box(ring, bounds));
    let polygon = |polygon: &Polygon| {
        let exterior = cut(polygon.exterior());
        let interiors = polygon.interiors().iter().map(cut).filter(|ring| !ring.0.is_empty());
        (!exterior.0.is_empty()).then(|| Polygon::new(exterior, interiors.collect()))
    };
    MultiPolygon::new(area.iter().filter_map(polygon).collect())
}

/// A box grown on every side by a fraction of its size, so that nothing of it lies on the border.
pub(crate) fn grown(bounds: Rect, fraction: f64) -> Rect {
    let by = Coord { x: bounds.width() * fraction, y: bounds.height() * fraction };
    Rect::new(bounds.min() - by, bounds.max() + by)
}

fn ring_to_box(ring: &LineString, bounds: Rect) -> Vec<Coord> {
    let (min, max) = (bounds.min(), bounds.max());
    let points = half_plane(&ring.0, |c| c.x - min.x);
    let points = half_plane(&points, |c| max.x - c.x);
    let points = half_plane(&points, |c| c.y - min.y);
    half_plane(&points, |c| max.y - c.y)
}

/// The part of a closed ring where `inside` is not negative, closed again.
fn half_plane(ring: &[Coord], inside: impl Fn(Coord) -> f64) -> Vec<Coord> {
    let mut kept = Vec::with_capacity(ring.len() + 4);
    for pair in ring.windows(2) {
        let (a, b) = (inside(pair[0]), inside(pair[1]));
        if (a < 0.0) != (b < 0.0) {
            kept.push(pair[0] + (pair[1] - pair[0]) * (a / (a - b)));
        }
        if b >= 0.0 {
            kept.push(pair[1]);
        }
    }
    kept.extend(kept.first().copied());
    kept
}

#[cfg(test)]
mod tests {
    use geo::{Area, polygon};

    use super::*;

    #[test]
    fn a_clipped_area_is_what_lies_in_the_box() {
        let area = MultiPolygon::new(vec![polygon![
            (x: -1.0, y: -1.0), (x: 3.0, y: -1.0), (x: 3.0, y: 3.0), (x: -1.0, y: 3.0),
        ]]);
        let bounds = Rect::new((0.0, 0.0), (2.0, 1.0));
        assert_eq!(to_box(&area, bounds).unsigned_area(), 2.0);
        let elsewhere = Rect::new((5.0, 5.0), (6.0, 6.0));
        assert_eq!(to_box(&area, elsewhere).unsigned_area(), 0.0);
    }
}
