//! From what publishers write to `geo`'s longitude-first geometry, and its measures on WGS 84.

use geo::algorithm::bool_ops::{BooleanOps, FillRule};
use geo::algorithm::line_intersection::{LineIntersection, line_intersection};
use geo::{Area, Bearing, Coord, Destination, Distance, Geodesic, GeodesicArea, Line, LineString};
use geo::{LinesIter, MultiPolygon, Point, Polygon, Rect};

use crate::domain::beside::{Spans, any_meets};
use crate::domain::geo::{Circle, LatLon, Ring};

/// Sides of a circle's polygon: its area is 0.04 % short of the circle's.
const CIRCLE_SIDES: u32 = 128;
/// A smaller circle (CAP allows radius 0 for a point) is matched as one of this many metres.
const RADIUS_MIN_M: f64 = 1.0;
/// Half the circumference of the earth: no point is farther than this from any other.
const RADIUS_MAX_KM: f64 = 20_040.0;
/// Up to this radius a circle near the city is one simple polygon in degrees.
const LOCAL_M: f64 = 500_000.0;
/// Beyond this distance directions from the centre mean nothing: the city lies at its antipode.
const ANTIPODE_M: f64 = 19_500_000.0;
/// Less than this (0.01 m²) is a line, not an area.
const AREA_MIN_DEGREES2: f64 = 1e-12;
/// Points taken on the border of the city's box to learn its distance from a far centre.
const BOX_SAMPLES: u32 = 16;

/// What a publisher's shape is near a city.
pub(crate) enum Near {
    /// The city lies in it.
    Everything,
    /// The city lies outside.
    Nothing,
    /// Its area, true within the city's box.
    Area(MultiPolygon),
}

/// Longitude-first coordinates of a point.
pub(crate) fn coord(point: LatLon) -> Coord {
    Coord { x: point.lon(), y: point.lat() }
}

/// The point of longitude-first coordinates; they come from points, so they are in range.
pub(crate) fn point(coord: Coord) -> LatLon {
    LatLon::new(coord.y.clamp(-90.0, 90.0), coord.x.clamp(-180.0, 180.0))
        .expect("clamped to the globe")
}

/// Metres of a degree of longitude and of latitude (WGS 84 series, a few centimetres off).
pub(crate) fn metres_per_degree(lat: f64) -> (f64, f64) {
    let f = lat.to_radians();
    let lon = 111_415.13 * f.cos() - 94.55 * (3.0 * f).cos() + 0.12 * (5.0 * f).cos();
    let lat = 111_132.09 - 566.05 * (2.0 * f).cos() + 1.20 * (4.0 * f).cos();
    (lon, lat)
}

/// Area on the ellipsoid in square metres, whatever the winding.
pub(crate) fn area_m2(area: &MultiPolygon) -> f64 {
    let ring =
        |ring: &LineString| Polygon::new(ring.clone(), Vec::new()).geodesic_area_signed().abs();
    let polygon = |polygon: &Polygon| {
        ring(polygon.exterior()) - polygon.interiors().iter().map(ring).sum::<f64>()
    };
    // A sum of nothing is −0.
    0.0 + area.iter().map(polygon).sum::<f64>()
}

/// Mean width in metres: area over half the perimeter.
pub(crate) fn width_m(area: &MultiPolygon, area_m2: f64) -> f64 {
    let (lon_m, lat_m) = area
        .0
        .first()
        .and_then(|polygon| polygon.exterior().0.first())
        .map_or((1.0, 1.0), |corner| metres_per_degree(corner.y));
    let perimeter: f64 =
        area.lines_iter().map(|line| (line.dx() * lon_m).hypot(line.dy() * lat_m)).sum();
    if perimeter > 0.0 { 2.0 * area_m2 / perimeter } else { 0.0 }
}

/// A ring as an area. A ring that crosses itself is normalised rather than refused: every part it
/// winds around is inside, so that a drawing error stops no warning; where it crosses is returned
/// so that the publisher hears of it.
pub(crate) fn of_ring(ring: &Ring) -> Result<(MultiPolygon, Option<LatLon>), String> {
    let coords: Vec<Coord> = ring.points().iter().copied().map(coord).collect();
    if coords.windows(2).any(|pair| (pair[0].x - pair[1].x).abs() > 180.0) {
        return Err("an edge spans more than 180 degrees of longitude: a polygon across the \
                    antimeridian must be given as two"
            .to_owned());
    }
    let mut area = MultiPolygon::new(vec![Polygon::new(LineString::new(coords), Vec::new())]);
    let contact = self_contact(&area);
    let crossing = match contact {
        Contact::Crosses(at) => Some(at),
        Contact::None | Contact::Touches => None,
    };
    if contact != Contact::None {
        area = area.union_with_fill_rule(&MultiPolygon::new(Vec::new()), FillRule::NonZero);
    }
    if area.unsigned_area() < AREA_MIN_DEGREES2 {
        return Err("the polygon encloses no area".to_owned());
    }
    Ok((area, crossing))
}

/// How a border meets itself, apart from one edge following another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Contact {
    /// Not at all.
    None,
    /// Somewhere it touches itself, which is allowed.
    Touches,
    /// Two edges properly cross, here.
    Crosses(LatLon),
}

/// How an area's border meets itself. Nearly every border does not, which comparing the edges that
/// lie beside each other tells; of any other the first crossing is looked for, from one side to the
/// other.
pub(crate) fn self_contact(area: &MultiPolygon) -> Contact {
    let lines: Vec<Line> = area.lines_iter().collect();
    let spans = |line: &Line| Spans::between(line.start.x_y(), line.end.x_y());
    let spans: Vec<Spans> = lines.iter().map(spans).collect();
    match any_meets(&spans, |one, other| contact(&lines[one], &lines[other]) != Contact::None) {
        Some(false) => Contact::None,
        _ => first_contact(&lines),
    }
}

fn first_contact(lines: &[Line]) -> Contact {
    let reach: Coord = lines.iter().fold(Coord::zero(), |sum, line| Coord {
        x: sum.x + line.dx().abs(),
        y: sum.y + line.dy().abs(),
    });
    // Sorted along the axis in which edges are shorter, and compared with those beside them.
    let spans = |line: &Line| {
        let Spans([x, y]) = Spans::between(line.start.x_y(), line.end.x_y());
        if reach.x <= reach.y { (x, y) } else { (y, x) }
    };
    let mut sorted: Vec<_> = lines.iter().map(|line| (spans(line), *line)).collect();
    sorted.sort_unstable_by(|a, b| a.0.0.0.total_cmp(&b.0.0.0));
    let mut found = Contact::None;
    for (index, ((along, across), line)) in sorted.iter().enumerate() {
        let beside = sorted[index + 1..].iter().take_while(|other| other.0.0.0 <= along.1);
        for (_, other) in beside.filter(|((_, o), _)| o.0 <= across.1 && o.1 >= across.0) {
            match contact(line, other) {
                Contact::None => {}
                Contact::Touches => found = Contact::Touches,
                crosses => return crosses,
            }
        }
    }
    found
}

/// How two edges of a border meet, apart from the point between them if one follows the other.
fn contact(line: &Line, other: &Line) -> Contact {
    let follows = line.end == other.start || other.end == line.start;
    if follows && goes_on(line, other) {
        return Contact::None;
    }
    match line_intersection(*line, *other) {
        Some(LineIntersection::SinglePoint { intersection, is_proper: true }) => {
            Contact::Crosses(point(intersection))
        }
        Some(LineIntersection::SinglePoint { .. }) if follows => Contact::None,
        Some(_) => Contact::Touches,
        None => Contact::None,
    }
}

/// Whether two edges, of which one follows the other, turn by less than a right angle: then they
/// share the point between them and no other.
fn goes_on(line: &Line, other: &Line) -> bool {
    let (one, two) = (line.delta(), other.delta());
    let ahead = one.x * two.x + one.y * two.y;
    let squares = (one.x * one.x + one.y * one.y) * (two.x * two.x + two.y * two.y);
    // By more than the products are rounded.
    ahead > 0.0 && ahead * ahead > squares * 1e-18
}

/// A circle on the ground as an area that is true within `city`, a box in degrees.
pub(crate) fn of_circle(circle: &Circle, city: Rect) -> Result<Near, String> {
    if !(0.0..=RADIUS_MAX_KM).contains(&circle.radius_km) {
        return Err(format!(
            "radius {} km is not within 0 to {RADIUS_MAX_KM} km, half the globe",
            circle.radius_km
        ));
    }
    let centre = Point(coord(circle.centre));
    let radius_m = (circle.radius_km * 1_000.0).max(RADIUS_MIN_M);
    let view = View::of(centre, city);
    if radius_m >= view.farthest_m {
        return Ok(Near::Everything);
    }
    if radius_m < view.nearest_m {
        return Ok(Near::Nothing);
    }
    if view.farthest_m > ANTIPODE_M {
        return Ok(Near::Everything);
    }
    let ring: LineString = if radius_m <= LOCAL_M.max(view.diagonal_m) {
        arc(centre, radius_m, -180.0, 180.0).collect()
    } else {
        // Poles and the antimeridian make a huge circle's outline useless in degrees; the slice of
        // it that looks towards the city is simple, and equal to it there.
        let inner_m = (view.nearest_m - view.diagonal_m / 10.0).max(RADIUS_MIN_M);
        let (from, to) = (view.bearing - view.spread, view.bearing + view.spread);
        arc(centre, radius_m, from, to).chain(arc(centre, inner_m, to, from)).collect()
    };
    Ok(Near::Area(MultiPolygon::new(vec![Polygon::new(ring, Vec::new())])))
}

/// Points at a distance, from one bearing to another.
fn arc(centre: Point, radius_m: f64, from: f64, to: f64) -> impl Iterator<Item = Coord> {
    (0..=CIRCLE_SIDES).map(move |step| {
        let bearing = from + (to - from) * f64::from(step) / f64::from(CIRCLE_SIDES);
        Geodesic.destination(centre, bearing, radius_m).0
    })
}

/// A box as seen from a point: bounds of its distance and direction.
struct View {
    nearest_m: f64,
    farthest_m: f64,
    diagonal_m: f64,
    bearing: f64,
    spread: f64,
}

impl View {
    fn of(centre: Point, city: Rect) -> Self {
        let (sw, ne) = (city.min(), city.max());
        let bearing = Geodesic.bearing(centre, Point(city.center()));
        let diagonal_m = Geodesic.distance(Point(sw), Point(ne));
        let mut view =
            Self { nearest_m: f64::INFINITY, farthest_m: 0.0, diagonal_m, bearing, spread: 0.0 };
        for step in 0..=BOX_SAMPLES {
            let t = f64::from(step) / f64::from(BOX_SAMPLES);
            let (x, y) = (sw.x + t * city.width(), sw.y + t * city.height());
            for sample in [(x, sw.y), (x, ne.y), (sw.x, y), (ne.x, y)].map(Point::from) {
                let distance = Geodesic.distance(centre, sample);
                view.nearest_m = view.nearest_m.min(distance);
                view.farthest_m = view.farthest_m.max(distance);
                let turn = Geodesic.bearing(centre, sample) - bearing;
                let turn = (turn + 540.0).rem_euclid(360.0) - 180.0;
                view.spread = view.spread.max(turn.abs());
            }
        }
        // Between two samples the border can be at most one gap nearer or farther.
        let gap_m = diagonal_m / f64::from(BOX_SAMPLES);
        view.farthest_m += gap_m;
        view.spread = (view.spread * 1.1 + 0.1).min(179.0);
        let inside = (sw.x..=ne.x).contains(&centre.x()) && (sw.y..=ne.y).contains(&centre.y());
        view.nearest_m = if inside { 0.0 } else { (view.nearest_m - gap_m).max(0.0) };
        view
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    #[test]
    fn a_circles_area_is_true_to_a_thousandth() {
        let city = Rect::new((106.0, 8.0), (108.0, 12.0));
        for radius_km in [0.001, 0.4, 5.0, 60.0] {
            let centre = LatLon::new(10.78, 106.70).expect("a point");
            let near = of_circle(&Circle { centre, radius_km }, city).expect("a good radius");
            let Near::Area(area) = near else { panic!("{radius_km} km lie in the city") };
            let wanted = std::f64::consts::PI * radius_km * radius_km * 1e6;
            let got = area_m2(&area);
            assert!((got / wanted - 1.0).abs() < 0.001, "{radius_km} km: {got} m²");
        }
    }

    #[test]
    fn a_border_meets_itself_or_not_whichever_way_it_is_looked_for() {
        let strategy = prop::collection::vec((0u8..7, 0u8..7), 3..12);
        let mut runner = TestRunner::new(Config { cases: 2_000, ..Config::default() });
        let outcome = runner.run(&strategy, |grid| {
            let corners = grid.iter().map(|&(x, y)| (f64::from(x), f64::from(y)));
            let ring: LineString = corners.collect::<Vec<_>>().into();
            let area = MultiPolygon::new(vec![Polygon::new(ring, Vec::new())]);
            let lines: Vec<Line> = area.lines_iter().collect();
            prop_assert_eq!(self_contact(&area), first_contact(&lines));
            Ok(())
        });
        outcome.expect("alike");
    }

    #[test]
    fn areas_and_widths_are_in_metres() {
        let strip = MultiPolygon::new(vec![Polygon::new(
            LineString::from(vec![(106.0, 10.0), (107.0, 10.0), (107.0, 10.001), (106.0, 10.001)]),
            Vec::new(),
        )]);
        let area = area_m2(&strip);
        assert!((width_m(&strip, area) - 110.6).abs() < 1.0, "{}", width_m(&strip, area));
    }
}
