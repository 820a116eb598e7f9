//! What an edge sweeps on the ellipsoid (WGS 84), for sums of areas.

use geo::Line;

/// Semi-minor axis in metres, and the square of the eccentricity.
const B: f64 = 6_356_752.314_245_179;
const E2: f64 = 0.006_694_379_990_141_316;

/// Square metres between an edge and the equator, as the shortest line on the ground between its
/// ends: negative from west to east in the north, so that a ring with its inside on the left sums
/// up to its area. A series in the edge's length, for edges within a city.
pub(crate) fn swept_m2(edge: Line) -> f64 {
    let (west_east, south_north) = (edge.dx().to_radians(), edge.dy().to_radians());
    let sin = sine(((edge.start.y + edge.end.y) / 2.0).to_radians());
    let square = sin * sin;
    let (w, cos2) = (1.0 - E2 * square, 1.0 - square);
    // The one division: what follows is done for many edges at a time.
    let over = 1.0 / w;
    let radii = B * B * over * over;
    // The zone up to the middle's latitude; what its curve takes from a straight edge (the zone's
    // second derivative); what the shortest line bulges towards the pole (the geodesic equation).
    let curve = (4.0 * E2 * cos2 * over - 1.0) * south_north * south_north * 0.5;
    let bulge = w * (1.0 / (1.0 - E2)) * cos2 * west_east * west_east
        + (2.0 * (1.0 - E2) + 3.0 * E2 * cos2) * over * south_north * south_north;
    -west_east * (zone_m2(sin, over) + radii * sin * (curve + bulge) * (1.0 / 12.0))
}

/// Square metres of a zone from the equator to a latitude, a radian of longitude wide; of the
/// latitude's sine, and of one over 1 − e² sin².
fn zone_m2(sin: f64, over: f64) -> f64 {
    let square = E2 * sin * sin;
    // atanh(x) / x for x² = square, to its last digit.
    let atanh = 1.0
        + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0 + square * (1.0 / 9.0))));
    B * B / 2.0 * sin * (over + atanh)
}

/// The sine of a latitude in radians, to its last digits: its series, which unlike a call of the
/// library's function is evaluated for several edges at a time.
fn sine(latitude: f64) -> f64 {
    const TERMS: i32 = 11;
    let square = latitude * latitude;
    let mut sum = 1.0;
    for term in (1..TERMS).rev() {
        sum = 1.0 - sum * square * (1.0 / f64::from(2 * term * (2 * term + 1)));
    }
    latitude * sum
}

#[cfg(test)]
mod tests {
    use geo::{Coord, GeodesicArea, LineString, LinesIter, Polygon};

    use super::*;

    #[test]
    fn a_sine_is_that_of_the_library() {
        for step in -1_000..=1_000 {
            let latitude = f64::from(step) / 1_000.0 * std::f64::consts::FRAC_PI_2;
            let off = (sine(latitude) - latitude.sin()).abs();
            assert!(off <= 4.0 * f64::EPSILON * latitude.sin().abs(), "{latitude}: {off}");
        }
    }

    #[test]
    fn a_ring_sums_up_to_its_geodesic_area() {
        for (size, near) in [(0.01, 1e-9), (0.2, 1e-8), (0.6, 1e-7)] {
            for lat in [-30.0, 0.0, 8.7, 10.8, 22.8] {
                let corner = |x: f64, y: f64| Coord { x: 106.7 + size * x, y: lat + size * y };
                let corners = [corner(0.0, 0.0), corner(1.0, 0.2), corner(0.8, 1.0)];
                let ring = LineString::new([&corners[..], &corners[..1]].concat());
                let sum: f64 = ring.lines_iter().map(swept_m2).sum();
                let truth = Polygon::new(ring, Vec::new()).geodesic_area_signed();
                assert!((sum / truth - 1.0).abs() < near, "{size}° at {lat}: {sum}, {truth}");
            }
        }
    }
}
