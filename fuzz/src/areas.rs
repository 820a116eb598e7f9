//! Targets: whatever shapes a publisher draws, what they resolve to is well formed, holds whoever
//! stands in the middle of a circle, and grows when something is added.

use std::sync::LazyLock;

use loa::domain::geo::{Circle, LatLon, Ring};
use loa::domain::notice::AreaTarget;
use loa::geofence::{BUILTIN_CITY, City, Extent, Match, MatchSettings, Target};

static CITY: LazyLock<City> =
    LazyLock::new(|| City::builtin(BUILTIN_CITY).expect("the built-in city loads"));

/// Shapes of one input.
const SHAPES_MAX: usize = 4;
/// Corners of one polygon.
const CORNERS_MAX: usize = 12;
/// A circle this wide is no sliver of the unit it is drawn in.
const RADIUS_KM_MIN: f64 = 0.05;
/// Two ways to measure the same ground may differ by this share of a unit.
const SHARE_ERROR: f64 = 1e-4;

/// Holds for every drawing.
pub fn hold(data: &[u8]) {
    let mut numbers = data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let mut all = AreaTarget::default();
    let mut before: Option<Match> = None;
    for _ in 0..SHAPES_MAX {
        let Some(circle) = draw(&mut numbers, &mut all) else { break };
        let Some(now) = matched(&all) else { return };
        if let Some(circle) = circle {
            centred(&now, circle);
        }
        if let Some(before) = &before {
            grows(before, &now);
        }
        before = Some(now);
    }
}

/// Adds the next shape; the circle, if it is one.
fn draw(numbers: &mut impl Iterator<Item = u16>, all: &mut AreaTarget) -> Option<Option<Circle>> {
    let kind = usize::from(numbers.next()?);
    if kind.is_multiple_of(2) {
        let centre = point(numbers)?;
        let circle = Circle { centre, radius_km: f64::from(numbers.next()?) / 500.0 };
        all.circles.push(circle);
        return Some(Some(circle));
    }
    let corners = 3 + kind / 2 % (CORNERS_MAX - 2);
    let mut points: Vec<LatLon> = (0..corners).map_while(|_| point(numbers)).collect();
    points.push(*points.first()?);
    all.polygons.push(Ring::new(points).ok()?);
    Some(None)
}

/// A point in a box around the city and its island, to some five metres.
fn point(numbers: &mut impl Iterator<Item = u16>) -> Option<LatLon> {
    let (lat, lon) = (f64::from(numbers.next()?), f64::from(numbers.next()?));
    let (lat, lon) = (8.4 + lat / 65_535.0 * 3.3, 106.1 + lon / 65_535.0 * 1.6);
    Some(LatLon::new(lat, lon).expect("a point in the box"))
}

/// What a target resolves to; none for one that is refused by name.
fn matched(target: &AreaTarget) -> Option<Match> {
    let settings = MatchSettings::default();
    let found = match CITY.match_target(&Target::from(target), &settings) {
        Ok(found) => found,
        Err(error) => {
            let error = error.to_string();
            assert!(error.starts_with("polygons[") || error.starts_with("circles["), "{error}");
            return None;
        }
    };
    let sorted = found.units.windows(2).all(|pair| pair[0].code < pair[1].code);
    assert!(sorted, "units out of order: {:?}", found.units);
    for unit in &found.units {
        assert!((0.0..=1.0).contains(&unit.share), "{unit:?}");
        assert!(!unit.is_whole() || unit.share >= settings.whole_share, "{unit:?}");
        let warned = found.audience.units.iter().any(|one| one.code == unit.code);
        assert!(warned, "matched and not in the audience: {unit:?}");
    }
    let sorted = found.audience.units.windows(2).all(|pair| pair[0].code < pair[1].code);
    assert!(sorted, "the audience is out of order");
    Some(found)
}

/// Who stands at a circle's centre is warned.
fn centred(found: &Match, Circle { centre, radius_km }: Circle) {
    let Some(at) = CITY.locate(centre).filter(|at| at.distance_m == 0.0) else { return };
    let inside = found.units.iter().any(|unit| unit.code == at.unit.code);
    assert!(inside || radius_km < RADIUS_KM_MIN, "{} is not in {:?}", at.unit.code, found.units);
}

/// Nothing that was in goes out because more came in.
fn grows(before: &Match, after: &Match) {
    for unit in before.units.iter().filter(|unit| !matches!(unit.extent, Extent::Near { .. })) {
        let now = after.units.iter().find(|one| one.code == unit.code);
        let share = now.map_or(-1.0, |now| now.share);
        assert!(share >= unit.share - SHARE_ERROR, "{unit:?} became {now:?}");
    }
}
