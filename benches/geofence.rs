//! What a match and a location cost, on the true boundaries when `LOA_SHARED` (or `../shared`) has
//! them and on the built-in ones otherwise. A match never looks at devices, so their number is no
//! parameter here.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use loa::domain::geo::{LatLon, Ring};
use loa::domain::notice::AreaTarget;
use loa::geofence::{BUILTIN_CITY, City, MatchSettings, Target};

const VERTICES: u32 = 500;
const POINTS: u32 = 10_000;

fn city() -> City {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("LOA_SHARED").map_or_else(beside, PathBuf::from);
    match std::fs::read_to_string(shared.join("geofences/hcmc.geojson")) {
        Ok(text) => City::from_geojson(&text).expect("clean boundaries"),
        Err(_) => {
            eprintln!("true boundaries are not there: measuring on the approximate ones");
            City::builtin(BUILTIN_CITY).expect("built in")
        }
    }
}

/// A wavy ring of 500 vertices around a point.
fn ring(lat: f64, lon: f64, radius_degrees: f64) -> Target {
    let point = |step: u32| {
        let turn = f64::from(step % VERTICES) / f64::from(VERTICES) * std::f64::consts::TAU;
        let radius = radius_degrees * (1.0 + 0.1 * (turn * 12.0).sin());
        LatLon::new(lat + radius * turn.sin(), lon + radius * turn.cos()).expect("on the globe")
    };
    let polygons = vec![Ring::new((0..=VERTICES).map(point).collect()).expect("closed")];
    Target::from(&AreaTarget { polygons, ..AreaTarget::default() })
}

fn matching(criterion: &mut Criterion) {
    let city = city();
    let settings = MatchSettings::default();
    let mut group = criterion.benchmark_group("geofence/match");
    for (name, target) in [
        ("one unit", ring(10.965, 106.661, 0.008)),
        ("ten units", ring(10.78, 106.68, 0.013)),
        ("85 % of the city", ring(10.97, 106.75, 0.47)),
    ] {
        let units = city.match_target(&target, &settings).expect("a good target").units.len();
        group.bench_function(format!("{name} ({units} touched)"), |bencher| {
            bencher.iter(|| city.match_target(black_box(&target), &settings));
        });
    }
}

fn locating(criterion: &mut Criterion) {
    let city = city();
    let (sw, ne) = (LatLon::new(10.5, 106.4), LatLon::new(11.4, 107.2));
    let (sw, ne) = (sw.expect("a point"), ne.expect("a point"));
    // A low-discrepancy sequence: spread evenly, and the same every time.
    let points: Vec<LatLon> = (1..=POINTS)
        .map(|n| {
            let (u, v) =
                ((f64::from(n) * 0.754_877_666).fract(), (f64::from(n) * 0.569_840_29).fract());
            let lat = sw.lat() + u * (ne.lat() - sw.lat());
            LatLon::new(lat, sw.lon() + v * (ne.lon() - sw.lon())).expect("in the box")
        })
        .collect();
    let mut group = criterion.benchmark_group("geofence/locate");
    group.throughput(Throughput::Elements(u64::from(POINTS)));
    group.bench_function("10,000 points", |bencher| {
        bencher.iter(|| points.iter().filter(|&&point| city.locate(point).is_some()).count());
    });
}

criterion_group!(benches, matching, locating);
criterion_main!(benches);
