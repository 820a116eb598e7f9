//! The room's promises on the built-in data; those on true boundaries are in `tests/it`.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::domain::audience::{Boundaries, Coverage, Fit};
use crate::domain::cell::Cell;
use crate::domain::device::Place;
use crate::domain::geo::{Circle, LatLon, Ring};
use crate::domain::ids::UnitCode;
use crate::domain::notice::AreaTarget;

fn city() -> City {
    City::builtin(BUILTIN_CITY).expect("the built-in city loads")
}

fn at(lat: f64, lon: f64) -> LatLon {
    LatLon::new(lat, lon).expect("a point")
}

fn code(text: &str) -> UnitCode {
    text.parse().expect("a code")
}

fn circle(lat: f64, lon: f64, radius_km: f64) -> Target {
    let circles = vec![Circle { centre: at(lat, lon), radius_km }];
    Target::from(&AreaTarget { circles, ..AreaTarget::default() })
}

fn polygon(points: &[(f64, f64)]) -> Target {
    let mut points: Vec<LatLon> = points.iter().map(|&(lat, lon)| at(lat, lon)).collect();
    points.push(points[0]);
    let polygons = vec![Ring::new(points).expect("a ring")];
    Target::from(&AreaTarget { polygons, ..AreaTarget::default() })
}

fn codes(codes: &[&str], vintage: Option<&str>) -> Target {
    Target::from(&AreaTarget {
        units: codes.iter().map(|text| code(text)).collect(),
        vintage: vintage.map(|text| text.parse().expect("a vintage")),
        ..AreaTarget::default()
    })
}

fn matched(city: &City, target: &Target) -> Match {
    city.match_target(target, &MatchSettings::default()).expect("a good target")
}

#[test]
fn the_city_has_168_units_and_says_that_its_boundaries_are_approximate() {
    let city = city();
    assert_eq!(city.units().len(), 168);
    let of = |kind| city.units().iter().filter(|unit| unit.kind == kind).count();
    assert_eq!((of(UnitKind::Phuong), of(UnitKind::Xa), of(UnitKind::DacKhu)), (113, 54, 1));
    assert_eq!(city.boundaries(), Boundaries::Approximate);
    assert_eq!(matched(&city, &codes(&["26740"], None)).boundaries, Boundaries::Approximate);
}

#[test]
fn approximate_areas_come_near_the_stated_ones() {
    let city = city();
    let mut off: Vec<f64> = city
        .units()
        .iter()
        .map(|unit| (city.measured_km2(&unit.code).expect("a unit") / unit.area_km2 - 1.0).abs())
        .collect();
    off.sort_by(f64::total_cmp);
    assert!(off[84] < 0.03, "median {}", off[84]);
    assert!(off[167] < 0.5, "worst {}", off[167]);
}

#[test]
fn names_are_found_without_accents() {
    let city = city();
    assert_eq!(city.search("sai gon")[0].name, "Phường Sài Gòn");
    assert_eq!(city.search("HOÀ HƯNG")[0].name, "Phường Hòa Hưng");
    assert!(city.search("Hà Nội").is_empty());
    // Phường Hiệp Thành is no unit any more; there were two, and one of them was split.
    let became = city.search("hiep thanh");
    let names: Vec<&str> = became.iter().map(|unit| unit.name.as_str()).collect();
    assert!(
        names.contains(&"Phường Thủ Dầu Một") && names.contains(&"Phường Phú Lợi"),
        "{names:?}"
    );
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn a_code_means_what_its_vintage_says() {
    let city = city();
    let old = city.crosswalk().of(&"2025-06".parse().expect("a vintage")).expect("the old codes");
    let rows: usize = old.values().map(|unit| unit.became.len()).sum();
    let split = old.values().filter(|unit| unit.became.len() > 1).count();
    let reused = old.keys().filter(|code| city.unit(code).is_some()).count();
    assert_eq!((old.len(), rows, split, reused), (442, 493, 47, 167));
    assert_eq!(old[&code("26740")].name, "Phường Bến Nghé");
    assert!(old.values().all(|unit| unit.became.iter().all(|code| city.unit(code).is_some())));

    let today = matched(&city, &codes(&["26740"], None));
    assert_eq!(today.units[0].name, "Phường Sài Gòn");
    // Hiệp Thành was split between Thủ Dầu Một and Phú Lợi; its code names nothing today.
    let names: Vec<String> = matched(&city, &codes(&["25741"], Some("2025-06")))
        .units
        .into_iter()
        .map(|unit| unit.name)
        .collect();
    assert_eq!(names, ["Phường Thủ Dầu Một", "Phường Phú Lợi"]);
}

#[test]
fn unknown_codes_and_vintages_are_refused_by_name() {
    let city = city();
    let fail = |target: &Target| {
        city.match_target(target, &MatchSettings::default()).expect_err("refused").to_string()
    };
    let unknown = fail(&codes(&["26740", "99999"], None));
    assert_eq!(unknown, "units[1]: unit code `99999` does not exist in vintage 2025-07");
    let vintage = fail(&codes(&["26740"], Some("2019-01")));
    assert!(vintage.contains("`2019-01`") && vintage.contains("2025-06, 2025-07"), "{vintage}");
}

#[test]
fn a_target_beyond_a_limit_is_refused_before_any_work() {
    let settings = MatchSettings { points_max: 4, ..MatchSettings::default() };
    let target = polygon(&[(10.7, 106.7), (10.8, 106.7), (10.8, 106.8), (10.75, 106.9)]);
    let error = city().match_target(&target, &settings).expect_err("5 points").to_string();
    assert_eq!(error, "polygons: 5 points, the limit is 4");
}

#[test]
fn a_circle_is_geodesic_and_any_radius_works() {
    let city = city();
    for (lat, lon, radius_km, expected) in [
        (8.69, 106.6, 100.0, 1),      // Côn Đảo and nothing else
        (10.8, 106.7, 20_030.0, 168), // the whole globe
        (48.85, 2.35, 20_030.0, 168), // the same from Paris
        (48.85, 2.35, 12_000.0, 168), // far side and all
        (48.85, 2.35, 9_000.0, 0),    // ends before the city
        (-10.8, -73.3, 19_000.0, 0),  // around the antipode, not quite reaching
    ] {
        let units = matched(&city, &circle(lat, lon, radius_km)).units.len();
        assert_eq!(units, expected, "{lat} {lon} {radius_km}");
    }
    // Paris is 10,100 km away: the circle's border runs through the city.
    let through = matched(&city, &circle(48.85, 2.35, 10_100.0));
    assert!(through.units.iter().any(|unit| unit.extent == Extent::Part));
    let error = city.match_target(&circle(10.8, 106.7, -1.0), &MatchSettings::default());
    assert!(error.expect_err("negative").to_string().starts_with("circles[0]: radius -1 km"));
}

#[test]
fn a_target_just_off_an_island_means_the_island() {
    let city = city();
    let island = code("26732");
    let centre = city.unit(&island).expect("Côn Đảo").centre;
    let radius_km = (city.measured_km2(&island).expect("a unit") / std::f64::consts::PI).sqrt();
    let off = |km: f64| centre.lon() + (radius_km + km) / 110.0;
    let near = matched(&city, &circle(centre.lat(), off(0.5), 0.05));
    assert_eq!(near.units[0].code, island);
    assert!(matches!(near.units[0].extent, Extent::Near { distance_m } if distance_m < 600.0));
    assert!(near.audience.fit(&Place { unit: island.clone(), cell: None }) == Some(Fit::Coarse));
    assert!(matched(&city, &circle(centre.lat(), off(3.0), 0.05)).units.is_empty());
    // Named as well, it is whole, and says so.
    let mut both = circle(centre.lat(), off(0.5), 0.05);
    both.codes = codes(&[island.as_str()], None).codes;
    let both = matched(&city, &both).units;
    assert_eq!((both.len(), both[0].share, both[0].is_whole()), (1, 1.0, true), "{both:?}");
    let located = city.locate(at(centre.lat(), off(0.5))).expect("within reach");
    assert!((300.0..700.0).contains(&located.distance_m), "{}", located.distance_m);
}

#[test]
fn a_ring_that_crosses_itself_is_taken_whole_and_noted() {
    let city = city();
    let bow = polygon(&[(10.7, 106.6), (10.8, 106.7), (10.8, 106.6), (10.7, 106.7)]);
    let outcome = matched(&city, &bow);
    assert!(!outcome.units.is_empty());
    assert!(
        outcome.notes[0]
            .starts_with("polygons[0]: the polygon crosses itself at 10.75000,106.65000"),
        "{:?}",
        outcome.notes
    );
}

#[test]
fn what_spans_the_antimeridian_or_encloses_nothing_is_refused() {
    let settings = MatchSettings::default();
    let city = city();
    let fail =
        |target: &Target| city.match_target(target, &settings).expect_err("refused").to_string();
    let wide = fail(&polygon(&[(10.0, 179.0), (11.0, -179.0), (12.0, 179.0)]));
    assert!(wide.contains("antimeridian"), "{wide}");
    let flat = fail(&polygon(&[(10.0, 106.0), (10.0, 107.0), (10.0, 106.5)]));
    assert_eq!(flat, "polygons[0]: the polygon encloses no area");
}

#[test]
fn a_border_drawn_twice_makes_no_sliver() {
    let city = city();
    let own = code("26740");
    let ring: Vec<(f64, f64)> = city.geometry(&own).expect("a unit").0[0]
        .exterior()
        .0
        .iter()
        .map(|at| (at.y + 1e-7, at.x + 1e-7))
        .collect();
    let outcome = matched(&city, &polygon(&ring[..ring.len() - 1]));
    let units: Vec<&str> = outcome.units.iter().map(|unit| unit.code.as_str()).collect();
    assert_eq!(units, ["26740"]);
    assert!(outcome.units[0].is_whole());
}

#[test]
fn every_cell_of_a_unit_has_its_home_there() {
    let city = city();
    for unit in city.units() {
        for &cell in city.cells_of(&unit.code) {
            assert_eq!(city.home_of(cell), Some(&unit.code));
            let located = city.locate(cell.centre()).expect("a home lies within reach");
            assert_eq!(located.unit.code, unit.code, "{cell}");
        }
    }
    assert!(city.home_of(Cell::containing(at(21.03, 105.85))).is_none());
}

#[test]
fn a_cell_that_sticks_into_a_whole_unit_is_warned_from_its_home() {
    let city = city();
    let audience = matched(&city, &codes(&["26740"], None)).audience;
    let cells_only = |unit: &&crate::domain::audience::AudienceUnit| {
        matches!(unit.coverage, Coverage::Cells { .. })
    };
    let beside = audience.units.iter().find(cells_only).expect("a neighbour's cell sticks in");
    assert_eq!(audience.fit(&Place { unit: beside.code.clone(), cell: None }), None);
}

/// Runs a property without leaving files of failed cases behind: each failure prints its input.
fn hold<S: Strategy>(strategy: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&strategy, property).expect("the property holds");
}

/// Whoever's cell or unit holds a point of the target is in the audience, wherever it is.
#[test]
fn nobody_inside_is_missed() {
    let city = city();
    let strategy = (
        10.4f64..11.4,
        106.4f64..107.2,
        0.05f64..15.0,
        0.0f64..std::f64::consts::TAU,
        0.0f64..0.95,
    );
    hold(strategy, |(lat, lon, km, turn, out)| {
        let audience = matched(&city, &circle(lat, lon, km)).audience;
        let (y, x) = (turn.cos() * out * km, turn.sin() * out * km);
        let inside = at(lat + y / 110.6, lon + x / (111.3 * lat.to_radians().cos()));
        let cell = Cell::containing(inside);
        if let Some(home) = city.home_of(cell) {
            let place = Place { unit: home.clone(), cell: Some(cell) };
            prop_assert_eq!(audience.fit(&place), Some(Fit::Exact));
        }
        if let Some(located) = city.locate(inside).filter(|located| located.distance_m == 0.0) {
            let place = Place { unit: located.unit.code.clone(), cell: None };
            prop_assert!(audience.fit(&place).is_some());
        }
        Ok(())
    });
}

/// A part of a target covers no more than the whole, and two halves together cover as much. (To
/// 0.0001 of a unit: a border's edge cut in two follows the ellipsoid a little closer.)
#[test]
fn shares_grow_with_the_target_and_add_up() {
    let city = city();
    let settings = MatchSettings { sliver_share: 0.0, nearest_m: 0.0, ..MatchSettings::default() };
    let strategy = (10.6f64..11.2, 106.5f64..106.9, 0.02f64..0.2, 0.2f64..0.8);
    hold(strategy, |(lat, lon, half, cut)| {
        let shares = |west: f64, east: f64| {
            let (south, north) = (lat - half, lat + half);
            let target = polygon(&[(south, west), (south, east), (north, east), (north, west)]);
            let units = city.match_target(&target, &settings).expect("a good target").units;
            units.into_iter().map(|unit| (unit.code, unit.share)).collect::<BTreeMap<_, _>>()
        };
        let (west, east) = (lon - half, lon + half);
        let middle = west + cut * (east - west);
        let (all, left, right) = (shares(west, east), shares(west, middle), shares(middle, east));
        for (code, whole) in &all {
            let part = |side: &BTreeMap<UnitCode, f64>| side.get(code).copied().unwrap_or(0.0);
            prop_assert!(part(&left) <= whole + 1e-4);
            prop_assert!((part(&left) + part(&right) - whole).abs() < 1e-4, "{code} {whole}");
        }
        Ok(())
    });
}

/// A star around a point: eight arms, or a border drawn through given points of units' own.
fn star(lat: f64, lon: f64, radius: f64, depth: f64) -> Target {
    let points: Vec<(f64, f64)> = (0..16)
        .map(|step| {
            let turn = f64::from(step) / 16.0 * std::f64::consts::TAU;
            let radius = if step % 2 == 0 { radius } else { radius * depth };
            (lat + radius * turn.sin(), lon + radius * turn.cos())
        })
        .collect();
    polygon(&points)
}

/// Shares measured from the borders are those of the geometry that is cut.
fn agrees(city: &City, target: &Target) -> Result<(), TestCaseError> {
    let settings = MatchSettings { sliver_share: 0.0, nearest_m: 0.0, ..MatchSettings::default() };
    let units = city.match_target(target, &settings).expect("a good target").units;
    let shares: BTreeMap<&UnitCode, f64> =
        units.iter().map(|unit| (&unit.code, unit.share)).collect();
    for unit in city.units() {
        let cut = city.clipped(target, &unit.code).expect("a good target");
        let km2 = shape::area_m2(&cut) / 1e6;
        // The overlay rounds to a grid, and may find a millionth more than there is: seen for unit
        // 27673 within the star at 10.649851668347837, 106.75057992913746 of radius
        // 0.4884574119755521 and depth 0.5133668955081897.
        let truth = (km2 / city.measured_km2(&unit.code).expect("a unit")).min(1.0);
        let share = shares.get(&unit.code).copied().unwrap_or(0.0);
        prop_assert!((share - truth).abs() < 1e-6, "{}: {share}, cut {truth}", unit.code);
    }
    Ok(())
}

#[test]
fn shares_are_those_of_the_cut_geometry() {
    let city = city();
    let strategy = (10.4f64..11.4, 106.4f64..107.2, 0.002f64..0.5, 0.2f64..0.95);
    hold(strategy, |(lat, lon, radius, depth)| agrees(&city, &star(lat, lon, radius, depth)));
}

#[test]
fn shares_are_right_where_borders_touch() {
    let city = city();
    let outline = |text: &str| {
        let own = city.geometry(&code(text)).expect("a unit").0[0].exterior().0.clone();
        own.iter().map(|at| (at.y, at.x)).collect::<Vec<_>>()
    };
    for text in ["26740", "27265", "26732"] {
        let ring = outline(text);
        let all = &ring[..ring.len() - 1];
        // The unit itself, every second corner of it, and those with a place far outside.
        let thinned: Vec<_> = all.iter().copied().step_by(2).collect();
        let far = [&all[..all.len() / 2], &[(10.9, 107.4)][..]].concat();
        for points in [all, &thinned, &far] {
            agrees(&city, &polygon(points)).expect("as cut");
        }
    }
    // Two lobes that meet in a point, and a hole on a bridge: no crossing, but a touch.
    let lobes =
        [(10.7, 106.6), (10.8, 106.7), (10.9, 106.8), (10.9, 106.6), (10.8, 106.7), (10.7, 106.8)];
    agrees(&city, &polygon(&lobes)).expect("as cut");
    let bridge = [
        (10.6, 106.5),
        (10.6, 106.9),
        (10.9, 106.9),
        (10.9, 106.5),
        (10.6, 106.5),
        (10.7, 106.6),
        (10.8, 106.6),
        (10.8, 106.8),
        (10.7, 106.8),
        (10.7, 106.6),
    ];
    agrees(&city, &polygon(&bridge)).expect("as cut");
}

#[test]
fn several_shapes_count_shared_ground_once() {
    let city = city();
    let mut target = star(10.78, 106.70, 0.03, 0.5);
    for (lat, lon) in [(10.79, 106.71), (10.90, 106.75), (10.78, 106.70)] {
        target.shapes.extend(star(lat, lon, 0.02, 0.7).shapes);
    }
    agrees(&city, &target).expect("as cut");
}

#[test]
fn an_import_is_checked_installed_and_loaded_or_nothing_changes() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("mine.geojson");
    let text = include_str!("../../geofences/hcmc/approximate.geojson");
    std::fs::write(&file, text).expect("writable");
    let (manifest, _) =
        import::import(&file, dir.path(), jiff::Timestamp::UNIX_EPOCH).expect("clean");
    assert_eq!((manifest.source.as_str(), manifest.units), ("mine.geojson", 168));
    let city = City::load(dir.path()).expect("what was installed loads");
    assert_eq!(city.boundaries(), Boundaries::Imported);

    let twice = text.replace("\"code\":\"25750\"", "\"code\":\"25747\"");
    std::fs::write(&file, twice).expect("writable");
    let error = import::import(&file, dir.path(), jiff::Timestamp::UNIX_EPOCH)
        .expect_err("a unit is missing")
        .to_string();
    assert!(error.contains("1 units missing: 25750; 1 codes given twice: 25747"), "{error}");
    assert_eq!(import::manifest(dir.path()).expect("readable"), Some(manifest));
}

#[test]
fn units_that_share_ground_are_named() {
    let feature = |code: &str, west: f64| {
        let east = west + 0.1;
        format!(
            r#"{{"type":"Feature","properties":{{"code":"{code}","name":"Xã {code}","kind":"Xã",
            "area_km2":121}},"geometry":{{"type":"Polygon","coordinates":[[[{west},10],[{east},10],
            [{east},10.1],[{west},10.1],[{west},10]]]}}}}"#
        )
    };
    let both = format!("{},{}", feature("a", 106.0), feature("b", 106.09));
    let text = format!(r#"{{"type":"FeatureCollection","features":[{both}]}}"#);
    let errors = check::check(&text).expect("GeoJSON").errors();
    assert_eq!(errors, ["Xã a (a) and Xã b (b) overlap by 12.13 km²"]);
}

#[test]
fn holes_and_parts_that_lie_where_they_must_not_are_named_and_not_measured() {
    let square = |west: f64, side: f64| {
        let (east, north) = (west + side, 10.0 + side);
        format!("[[{west},10],[{east},10],[{east},{north}],[{west},{north}],[{west},10]]")
    };
    let small = "[[100.02,10.02],[100.04,10.02],[100.04,10.04],[100.02,10.02]]";
    let leaves = "[[100.02,10.02],[100.77,10.02],[100.07,10.07],[100.02,10.02]]";
    let refused = |parts: &[&str], reason: &str| {
        let text = format!(
            r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","properties":{{
            "code":"a","name":"A","kind":"Xã","area_km2":121}},"geometry":{{
            "type":"MultiPolygon","coordinates":[{}]}}}}]}}"#,
            parts.join(",")
        );
        let report = check::check(&text).expect("GeoJSON");
        let errors = report.errors();
        assert!(errors.len() == 1 && errors[0].contains(reason), "{parts:?}: {errors:?}");
        assert!(report.areas.is_empty() && report.measured_km2 == 0.0, "{report:?}");
    };
    let (shell, far) = (square(100.0, 0.1), square(101.0, 0.01));
    refused(&[&format!("[{shell},{leaves}]")], "its border crosses itself");
    refused(&[&format!("[{shell},{far}]")], "a hole of it lies outside of it");
    refused(&[&format!("[{shell}]"), &format!("[{small}]")], "one part of it lies in another");
}
